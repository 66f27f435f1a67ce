"""Denoising score matching, continuous in time.

    x_t = α data + σ ε,    L = E_t E_ε ω(t) [ w_ε(t) ‖ε̂ − ε‖² + w_d(t) ‖d̂ − data‖² ]      (1)

with ε̂ and d̂ the model's noise and data, and ω the importance weight of the time (`time_sampling`).
Weightings give (w_ε, w_d):

    sigma2      λ(t) = σ²:  σ² ‖ŝ − s‖² = ‖ε̂ − ε‖²                        (1, 0)
    likelihood  λ(t) = g²:  g² ‖ŝ − s‖² = ρ (‖ε̂ − ε‖² + ‖d̂ − data‖²/σ_d²)  (ρ, ρ/σ_d²)
    edm         EDM's λ under its density q of times:   q (‖ε̂ − ε‖² + ‖d̂ − data‖²/σ_d²)
                                                                          (q, q/σ_d²)

with s = −ε/σ the target score, σ_d the data's standard deviation, q eq. 1 of `time_sampling` and

    ρ = (g²/σ²) σ_d²/(n² + σ_d²),    n = σ/α                                              (2)

The sum that q and ρ multiply is the squared error of a network of unit variance,
(n² + σ_d²)/(n σ_d)² ‖d̂ − data‖², in a form that is finite where α or σ is 0: α d̂ + σ ε̂ = x for
every model, so σ²‖ε̂ − ε‖² = α²‖d̂ − data‖². So `edm` is one objective for all SDEs, and ρ is 0
where g²/σ² is infinite because no signal is left.

References: Song et al. 2021, eq. 7; Song et al. 2021 "Maximum likelihood training", eq. 8
(likelihood); Karras et al. 2022, Table 1 (edm).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.model import Model
from sde_lib.registry import Registry
from sde_lib.sde import SDE, expand
from sde_lib.shapes import PerExample, States, Time, Times
from sde_lib.time_sampling import TimeSampler, log_normal_density, snr_decay, time_samplers

weightings = Registry("weighting", Callable)

Weighting = Callable[[SDE, Array, float], tuple[Array, Array]]
"""(SDE, times [B], σ_d) → (w_ε, w_d), each [B]."""

_NODES = 1024


@weightings.register("sigma2")
def sigma2(sde: SDE, t: Times, data_std: float) -> tuple[Times, Times]:
    """The weights (1, 0), for which the loss is the mean squared error of the noise."""
    del sde, data_std
    return jnp.ones_like(t), jnp.zeros_like(t)


@weightings.register("likelihood")
def likelihood(sde: SDE, t: Times, data_std: float) -> tuple[Times, Times]:
    """The weights (ρ, ρ/σ_d²), for which the loss bounds the negative log-likelihood."""
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    share = (alpha * data_std) ** 2 / (sigma**2 + (alpha * data_std) ** 2)
    rho = jnp.where(alpha > 0, snr_decay(sde, t) * share, 0.0)
    return rho, rho / data_std**2


@weightings.register("edm")
def edm(sde: SDE, t: Times, data_std: float) -> tuple[Times, Times]:
    """The weights (q, q/σ_d²), which are EDM's."""
    q = log_normal_density(sde, t)
    return q, q / data_std**2


def denoising_loss(
    sde: SDE,
    model: Model,
    data: States,
    t: Time,
    noise: States,
    *,
    weighting: Weighting | str = "sigma2",
    data_std: float = 0.5,
    cond: Any = None,
) -> PerExample:
    """The weighted squared error of a model's predictions, for each example.

    The bracket of eq. 1 of `loss`, averaged over the dimensions of an example.

    Args:
      sde: the SDE that perturbs the data.
      model: `predict(x, t, cond)`.
      data: [B, ...], in model units.
      t: times [B].
      noise: standard normal [B, ...].
      weighting: a function, or a name in `weightings`.
      data_std: σ_d, for the weightings "likelihood" and "edm".
      cond: what the model is conditioned on.

    Returns:
      The losses [B]: mean squared errors in units of the noise, whose variance is 1.
      The published "½ sum" is this times half the number of dimensions.
    """
    predicted = model(sde.perturb(data, t, noise), t, cond)
    on_noise, on_data = weightings.entry(weighting)(sde, t, data_std)
    squares = expand(on_noise, data) * (predicted.noise - noise) ** 2
    squares += expand(on_data, data) * (predicted.data - data) ** 2
    return jnp.sum(squares, axis=tuple(range(1, data.ndim))) / math.prod(data.shape[1:])


def largest_weight(
    sde: SDE,
    times: TimeSampler | str,
    weighting: Weighting | str,
    t_min: float,
    data_std: float,
) -> Array:
    """The most that an example can weigh in the loss, over what one weighs on average.

    An example's weight is ω (w_ε + σ_d² w_d), its loss where ε̂ and d̂ are off by the standard
    deviation of what they predict. The average is over uniform times t = t_min + (1 − t_min) y⁴, by
    the midpoint rule in y, as weights may go as 1/t; the most is over u in [0, 1] with its ends.

    Args:
      sde: the SDE.
      times: a function, or a name in `time_samplers`.
      weighting: a function, or a name in `weightings`.
      t_min: where times start.
      data_std: σ_d.

    Returns:
      A scalar ≥ 1; infinite where a weight is not finite.
    """
    entries = time_samplers.entry(times), weightings.entry(weighting)
    return _largest_weight(sde, *entries, t_min, data_std)


@partial(jax.jit, static_argnames=("times", "weighting", "t_min", "data_std"))
def _largest_weight(
    sde: SDE, times: TimeSampler, weighting: Weighting, t_min: float, data_std: float
) -> Array:
    """In one program; a user's function may ask for the value of t_min."""

    def weight(t: Array) -> Array:
        on_noise, on_data = weighting(sde, t, data_std)
        return on_noise + data_std**2 * on_data

    y = (jnp.arange(_NODES) + 0.5) / _NODES
    mean = jnp.mean(4 * y**3 * weight(t_min + (1 - t_min) * y**4))
    t, importance = times(sde, jnp.linspace(0.0, 1.0, _NODES), t_min)
    ratio = jnp.max(importance * weight(t)) / mean
    return jnp.where(jnp.isnan(ratio), jnp.inf, ratio)
