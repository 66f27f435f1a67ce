"""The variational bound on log-densities, by importance-sampled times.

With λ = log α²/σ², times from t_min to t_max and n_0 = σ/α at t_min, the model that runs the
reverse-time SDE from the prior to t_min and then draws x ~ N(x_tmin/α, n_0² I) has

    log p(x) ≥ −E[−log N(x; x_tmin/α, n_0² I)]                                    (1)
               − ½ ∫ E‖ε − E[ε | x_t]‖² dλ                                        (2)
               − KL(q(x_tmax | x) ‖ prior),                                       (3)

(1) = −D/2 (1 + log 2π n_0²) and (3) in closed form; λ runs over [λ(t_max), λ(t_min)] in (2). Where
α(t_max) = 0, λ runs from −2 log 10⁴; what is left out of (2) is below D s² e^λ/2 if the model
denoises there no worse than the data's mean, s being their standard deviation.

(2) is the mean of R = 4 independent replicates of M/4 draws each, so that Student's t with R − 1
degrees of freedom gives its interval; what makes this hold from M = 8 on is that no draw is large:

    λ ~ Σ_r 1/(1 + 1/(s_r² e^λ)),   s_r the deviations along the data's principal directions, (4)

is what (2)'s integrand is on average for Gaussian data. The quantiles of a replicate's λ under (4)
are a lattice that is shifted at random and folded at its middle, which cancels a trend. At low
noise ‖ε − E[ε | x_t]‖² is close to ‖ε‖², whose law χ²_D is skewed in few dimensions. So ε has the
direction of a normal draw and

    ‖ε‖² ~ χ²_D or χ²_{D+2}, with equal chances, weighted by 2/(1 + ‖ε‖²/D),              (5)

which is without bias, the second density being ‖ε‖²/D of the first. Weight times ‖ε‖² is below 2D.

With the exact score the bound is log p but for what n_0 blurs: the gap to the density of the
probability flow is the model's doing.

References: Kingma et al. 2021, eq. 11 to 15; Song et al. 2021 "Maximum likelihood training",
Theorem 3; Huang et al. 2021. Hickernell 2002 (folded lattices); L'Ecuyer et al. 2023 "Confidence
intervals for randomized quasi-Monte Carlo estimators" (Student's t).
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from samplers import noise
from sde_lib import SDE, Model

REPLICATES = 4
"""R, the independent replicates of a bound. With 8 the interval would be a fifth narrower, but each
would have too few draws."""

# Beyond σ/α = 1e4, (2) is below 5e-9 D s² nats.
_MIN_LOG_SNR = -2 * math.log(1e4)
# Pieces on which the density (4) is taken as constant; of about 0.03 in λ.
_PIECES = 1024


class Elbo(NamedTuple):
    """A lower bound on log-densities, with its error.

    Args:
      log_prob: [B], the bound on log p(x) in nats.
      standard_error: [B], of the bound; its interval is that of Student's t with `REPLICATES` − 1
        degrees of freedom.
      evaluations: [B], the network evaluations that each example took.
    """

    log_prob: Float[Array, "batch"]
    standard_error: Float[Array, "batch"]
    evaluations: Int[Array, "batch"]


@partial(jax.jit, static_argnames="num_times")
def elbo(
    key: Key[Array, ""],
    sde: SDE,
    model: Model,
    x: Float[Array, "batch *shape"],
    *,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    num_times: int = 32,
    data_std: Array | float = 0.5,
    cond: Any = None,
    indices: Int[Array, "batch"] | None = None,
) -> Elbo:
    """The variational bound on the log-densities of data: eq. 1 to 3 of the module.

    Args:
      key: typed key; the draws of example i are a function of (key, indices[i]) alone.
      sde, model, cond: as for `sample`.
      x: [B, ...], data in model units, without noise.
      t_min, t_max: the ends, with σ(t_min) > 0.
      num_times: M, a multiple of 4 from 8 on: network evaluations an example.
      data_std: s_r of eq. 4 [S], or one for all directions. Any positive values are right; the
        data's own give the smallest errors, and intervals that hold from 8 times on; others' can be
        too narrow in many dimensions at few times.
      indices: the examples' numbers [B]; 0 … B − 1 by default.

    Raises:
      ValueError: `num_times` is no multiple of 4, or below 8.
    """
    if num_times < 2 * REPLICATES or num_times % REPLICATES:
        raise ValueError(
            f"num_times: got {num_times}, takes a multiple of {REPLICATES} from {2 * REPLICATES} on"
        )
    keys = noise.example_keys(key, jnp.arange(x.shape[0]) if indices is None else indices)
    times, length = noise.stream(keys, "time"), num_times // REPLICATES
    table = _time_table(sde, t_min, t_max, data_std)

    def weighted_error(_: None, draw: Array) -> tuple[None, Array]:
        replicate, place = draw // length, draw % length
        shifted = (place + noise.uniform(times, replicate, ())) / length
        log_snr, weight = _look_up(table, 1 - jnp.abs(2 * shifted - 1))
        eps, radial_weight = _light_tailed(keys, draw, x.shape[1:])
        t = sde.time_of_log_snr(log_snr)
        predicted = model(sde.perturb(x, t, eps), t, cond)
        return None, weight * radial_weight * _squares(predicted.noise - eps)

    _, errors = jax.lax.scan(weighted_error, None, jnp.arange(num_times))
    replicates = errors.reshape(REPLICATES, length, -1).mean(axis=1) / 2
    log_blur = jnp.log(sde.noise_to_signal(t_min))
    reconstruction = math.prod(x.shape[1:]) * (1 + math.log(2 * math.pi) + 2 * log_blur) / 2
    diffusion = jnp.mean(replicates, axis=0)
    return Elbo(
        log_prob=-(reconstruction + diffusion + _prior_divergence(sde, x, t_max)),
        standard_error=jnp.std(replicates, axis=0, ddof=1) / math.sqrt(REPLICATES),
        evaluations=jnp.full(x.shape[0], num_times),
    )


def _time_table(
    sde: SDE, t_min: Array | float, t_max: Array | float, data_std: Array | float
) -> tuple[Array, Array]:
    """Log-SNRs [P + 1] over the range of (2), and the probability of (4) below each."""
    log_snr = jnp.linspace(
        jnp.maximum(sde.log_snr(t_max), _MIN_LOG_SNR), sde.log_snr(t_min), _PIECES + 1
    )
    # The integral of 1/(1 + e^−l) is log(1 + e^l).
    below = jax.nn.softplus(log_snr[:, None] + 2 * jnp.log(jnp.atleast_1d(data_std))).mean(axis=1)
    return log_snr, (below - below[0]) / (below[-1] - below[0])


def _look_up(table: tuple[Array, Array], quantile: Array) -> tuple[Array, Array]:
    """The log-SNR at a quantile [B], and its weight: the inverse of the density there."""
    log_snr, below = table
    piece = jnp.clip(jnp.searchsorted(below, quantile, side="right") - 1, 0, _PIECES - 1)
    weight = (log_snr[piece + 1] - log_snr[piece]) / (below[piece + 1] - below[piece])
    return log_snr[piece] + (quantile - below[piece]) * weight, weight


def _light_tailed(keys: Array, draw: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """ε [B, *shape] with the law (5) of its length, and its weight [B]."""
    eps = noise.normal(noise.stream(keys, "perturbation"), draw, shape)
    # −2 log u is χ² of two degrees of freedom, and adds to that of D.
    coin, u = noise.uniform(noise.stream(keys, "radius"), draw, (2,)).T
    short = jnp.maximum(_squares(eps), jnp.finfo(eps.dtype).tiny)
    square = short + jnp.where(coin < 0.5, -2 * jnp.log1p(-u), 0.0)
    stretch = jnp.sqrt(square / short).reshape(-1, *[1] * len(shape))
    return stretch * eps, 2 / (1 + square / math.prod(shape))


def _squares(x: Array) -> Array:
    """‖x‖² of each example, [B]."""
    return jnp.sum(x**2, axis=tuple(range(1, x.ndim)))


def _prior_divergence(sde: SDE, x: Array, t_max: Array | float) -> Array:
    """KL(N(α x, σ² I) ‖ N(0, prior_std² I)) in nats, [B]."""
    ratio = (sde.sigma(t_max) / sde.prior_std()) ** 2
    means = (sde.alpha(t_max) * x / sde.prior_std()) ** 2
    each = (means + ratio - 1 - jnp.log(ratio)) / 2
    return jnp.sum(each, axis=tuple(range(1, x.ndim)))
