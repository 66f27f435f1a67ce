"""Gaussian-mixture data: score, denoiser and density at every t, under any affine SDE.

data ~ Σ_k w_k N(m_k, s_k² I)
x_t  ~ Σ_k w_k N(α m_k, v_k I),   v_k = α² s_k² + σ²                          (1)
r_k(x) ∝ w_k N(x; α m_k, v_k I),  Σ_k r_k = 1                                 (2)
E[x_0 | x_t] = Σ_k r_k (m_k + α s_k²/v_k (x − α m_k))                         (3)
E[ε | x_t]   = Σ_k r_k σ/v_k (x − α m_k)                                      (4)
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.model import ClosedForm
from sde_lib.prediction import Prediction
from sde_lib.pytree import Pytree
from sde_lib.sde import SDE, expand
from sde_lib.shapes import PerExample, States, Time


class GaussianMixture(Pytree):
    """Gaussian-mixture data: examples of D numbers from K isotropic components.

    Args:
      weights: w [K], positive, summing to 1; or [B, K], of each example its own, none negative.
      means: m [K, D].
      stds: s [K].
    """

    weights: Array
    means: Array
    stds: Array

    @jax.jit
    def log_prob(self, sde: SDE, x: States, t: Time) -> PerExample:
        """log p_t(x) in nats, eq. 1. x [B, ...] → [B]."""
        joint, *_ = self._components(sde, x, t)
        return jax.nn.logsumexp(joint, axis=-1)

    @jax.jit
    def predict(self, sde: SDE, x: States, t: Time) -> Prediction:
        """The conditional means of data and noise, eq. 3 and 4, given x [B, ...] at t."""
        joint, centred, alpha, sigma, variance = self._components(sde, x, t)
        share = jax.nn.softmax(joint, axis=-1)[..., None]
        gain = (alpha * self.stds**2 / variance)[..., None]
        data = jnp.sum(share * (self.means + gain * centred), axis=1)
        noise = jnp.sum(share * (sigma / variance)[..., None] * centred, axis=1)
        return Prediction(data=data.reshape(x.shape), noise=noise.reshape(x.shape))

    def model(self, sde: SDE) -> ClosedForm:
        """`predict` under `sde` as a model."""
        return ClosedForm(data=self, sde=sde)

    def sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Data of `shape` [B, ...]; perturb it for samples at t > 0."""
        component_key, noise_key = jax.random.split(key)
        component = jax.random.categorical(component_key, jnp.log(self.weights), shape=shape[:1])
        noise = jax.random.normal(noise_key, (shape[0], self.means.shape[1]))
        return (self.means[component] + self.stds[component, None] * noise).reshape(shape)

    def _components(self, sde: SDE, x: Array, t: Time) -> tuple[Array, Array, Array, Array, Array]:
        """log w_k N(x; α m_k, v_k I) [B, K], x − α m_k [B, K, D], α, σ [B|1, 1], v_k [B|1, K]."""
        flat = x.reshape(x.shape[0], -1)
        alpha, sigma = jnp.atleast_2d(expand(sde.alpha(t), flat), expand(sde.sigma(t), flat))
        variance = alpha**2 * self.stds**2 + sigma**2
        centred = flat[:, None, :] - alpha[..., None] * self.means
        squares = jnp.sum(centred**2, axis=-1) / variance
        log_scale = flat.shape[1] * jnp.log(2 * math.pi * variance)
        joint = jnp.log(self.weights) - (squares + log_scale) / 2
        return joint, centred, alpha, sigma, variance
