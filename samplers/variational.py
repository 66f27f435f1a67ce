"""The variational bound on log-densities, by importance-sampled times.

With λ = log α²/σ², times from t_min to t_max and n_0 = σ/α at t_min, the model that runs the
reverse-time SDE from the prior to t_min and then draws x ~ N(x_tmin/α, n_0² I) has

    log p(x) ≥ −E[−log N(x; x_tmin/α, n_0² I)]                                    (1)
               − ½ ∫ E‖ε − E[ε | x_t]‖² dλ                                        (2)
               − KL(q(x_tmax | x) ‖ prior),                                       (3)

(1) = −D/2 (1 + log 2π n_0²) and (3) in closed form. In (2) λ runs over [λ(t_max), λ(t_min)]; a time
uniform in λ has a density ∝ g²/σ², the importance sampling of likelihood training, whose weight is
constant. Where α(t_max) = 0, λ runs from −2 log 10⁴; what is left out of (2) is below D s² e^λ/2 if
the model denoises there no worse than the data's mean, s being their standard deviation. M/2 strata
of λ hold two draws each, so that the strata take away most of the variance and the pairs tell what
is left.

With the exact score the bound is log p but for what n_0 blurs: the gap to the density of the
probability flow is the model's doing.

References: Kingma et al. 2021, eq. 11 to 15; Song et al. 2021 "Maximum likelihood training",
Theorem 3; Huang et al. 2021.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers import noise
from sde_lib import SDE, Model

# Beyond σ/α = 1e4, (2) is below 5e-9 D s² nats.
_LEAST_LOG_SNR = -2 * math.log(1e4)


class Bound(NamedTuple):
    """A lower bound on log p(x) in nats [B], its standard error [B], evaluations [B]."""

    log_prob: Array
    standard_error: Array
    evaluations: Array


@partial(jax.jit, static_argnames="num_times")
def elbo(
    key: Array,
    sde: SDE,
    model: Model,
    x: Array,
    *,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    num_times: int = 32,
    cond: Any = None,
    indices: Array | None = None,
) -> Bound:
    """Eq. 1 to 3 for x [B, ...], data in model units.

    Args:
      key: typed key; the draws of example i are a function of (key, indices[i]) alone.
      sde, model, cond: as for `sample`.
      t_min, t_max: the ends, with σ(t_min) > 0.
      num_times: M, even: network evaluations an example.
      indices: the examples' numbers [B]; 0 … B − 1 by default.

    Raises:
      ValueError: `num_times` is not a positive even number.
    """
    if num_times < 2 or num_times % 2:
        raise ValueError(f"num_times: got {num_times}, takes an even number ≥ 2")
    keys = noise.example_keys(key, jnp.arange(x.shape[0]) if indices is None else indices)
    strata = num_times // 2
    high, low = sde.log_snr(t_min), jnp.maximum(sde.log_snr(t_max), _LEAST_LOG_SNR)
    axes = tuple(range(1, x.ndim))

    def squared_error(_: None, draw: Array) -> tuple[None, Array]:
        u = (draw // 2 + noise.uniform(keys, 2 * draw, ())) / strata
        t = sde.time_of_log_snr(high + u * (low - high))
        eps = noise.normal(keys, 2 * draw + 1, x.shape[1:])
        predicted = model(sde.perturb(x, t, eps), t, cond)
        return None, jnp.sum((predicted.noise - eps) ** 2, axis=axes)

    _, errors = jax.lax.scan(squared_error, None, jnp.arange(num_times))
    pairs = errors.reshape(strata, 2, -1) * (high - low) / 2
    diffusion = jnp.mean(pairs, axis=(0, 1))
    # A pair's mean has the variance (difference/2)², estimated by two draws.
    variance = jnp.sum((pairs[:, 0] - pairs[:, 1]) ** 2, axis=0) / 4 / strata**2

    log_blur = jnp.log(sde.noise_to_signal(t_min))
    reconstruction = math.prod(x.shape[1:]) * (1 + math.log(2 * math.pi) + 2 * log_blur) / 2
    return Bound(
        log_prob=-(reconstruction + diffusion + _prior_divergence(sde, x, t_max)),
        standard_error=jnp.sqrt(variance),
        evaluations=jnp.full(x.shape[0], num_times),
    )


def _prior_divergence(sde: SDE, x: Array, t_max: Array | float) -> Array:
    """KL(N(α x, σ² I) ‖ N(0, prior_std² I)) in nats, [B]."""
    ratio = (sde.sigma(t_max) / sde.prior_std()) ** 2
    means = (sde.alpha(t_max) * x / sde.prior_std()) ** 2
    each = (means + ratio - 1 - jnp.log(ratio)) / 2
    return jnp.sum(each, axis=tuple(range(1, x.ndim)))
