"""Gaussian data: everything about its diffusion in closed form, under any affine SDE.

data ~ N(m, C),  C = Q diag(λ) Qᵀ
x_t ~ N(α m, Q diag(v) Qᵀ),   v = α² λ + σ²                                   (1)
E[x_0 | x_t] = m + Q (α λ/v) Qᵀ (x − α m)                                     (2)
E[ε | x_t]   = Q (σ/v) Qᵀ (x − α m)                                           (3)
probability flow from t to s:  x_s = α_s m + Q √(v_s/v_t) Qᵀ (x_t − α_t m)    (4)
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from sde_lib.model import ClosedForm
from sde_lib.prediction import Prediction
from sde_lib.pytree import Pytree
from sde_lib.sde import SDE, expand
from sde_lib.shapes import PerExample, States, Time


class Gaussian(Pytree):
    """Gaussian data: examples of D numbers from N(m, Q diag(λ) Qᵀ).

    Args:
      mean: m [D].
      eigenvectors: Q [D, D], orthonormal columns.
      eigenvalues: λ [D], the variances along them.
    """

    mean: Array
    eigenvectors: Array
    eigenvalues: Array

    @classmethod
    def isotropic(cls, dim: int, std: float, mean: ArrayLike = 0.0) -> "Gaussian":
        """N(mean, std² I) in `dim` dimensions."""
        return cls(
            mean=jnp.broadcast_to(jnp.asarray(mean, dtype=float), (dim,)),
            eigenvectors=jnp.eye(dim),
            eigenvalues=jnp.full((dim,), std**2, dtype=float),
        )

    @jax.jit
    def log_prob(self, sde: SDE, x: States, t: Time) -> PerExample:
        """log p_t(x) in nats, eq. 1. x [B, ...] → [B]."""
        centred, _, _, variance = self._project(sde, x, t)
        log_scale = jnp.log(2 * math.pi * variance)
        return -jnp.sum(centred**2 / variance + log_scale, axis=-1) / 2

    @jax.jit
    def predict(self, sde: SDE, x: States, t: Time) -> Prediction:
        """The conditional means of data and noise, eq. 2 and 3, given x [B, ...] at t."""
        centred, alpha, sigma, variance = self._project(sde, x, t)
        data = self.mean + (alpha * self.eigenvalues / variance * centred) @ self.eigenvectors.T
        noise = (sigma / variance * centred) @ self.eigenvectors.T
        return Prediction(data=data.reshape(x.shape), noise=noise.reshape(x.shape))

    def model(self, sde: SDE) -> ClosedForm:
        """`predict` under `sde` as a model."""
        return ClosedForm(data=self, sde=sde)

    def sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Data of `shape` [B, ...]; perturb it for samples at t > 0."""
        draw = jax.random.normal(key, (shape[0], self.mean.size))
        data = self.mean + (jnp.sqrt(self.eigenvalues) * draw) @ self.eigenvectors.T
        return data.reshape(shape)

    @jax.jit
    def probability_flow(self, sde: SDE, x: States, t: Time, s: Time) -> States:
        """The state at s of the probability flow through x [B, ...] at t, eq. 4."""
        centred, _, _, variance = self._project(sde, x, t)
        _, alpha, _, variance_s = self._project(sde, x, s)
        moved = (jnp.sqrt(variance_s / variance) * centred) @ self.eigenvectors.T
        return (alpha * self.mean + moved).reshape(x.shape)

    def _project(self, sde: SDE, x: Array, t: Time) -> tuple[Array, Array, Array, Array]:
        """Qᵀ(x − α m) [B, D], α, σ and v, shaped to broadcast against it."""
        flat = x.reshape(x.shape[0], -1)
        alpha, sigma = expand(sde.alpha(t), flat), expand(sde.sigma(t), flat)
        centred = (flat - alpha * self.mean) @ self.eigenvectors
        return centred, alpha, sigma, alpha**2 * self.eigenvalues + sigma**2
