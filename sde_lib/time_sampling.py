"""Times at which the training loss is evaluated.

A time sampler maps u, uniform on [0, 1), to a time t on [t_min, t_max] and the importance weight
ω = (uniform density)/(density of t), so that E[ω L(t)] is the mean of L over uniform times:

    uniform      t = t_min + u (t_max − t_min),   ω = 1
    log_snr      log-SNR uniform, which is a density ∝ g²/σ² for every affine SDE, since
                 d(log α²/σ²)/dt = −g²/σ²;   ω = Z / ((t_max − t_min) g²/σ²),
                 Z = log-SNR(t_min) − log-SNR(t_max)
    log_normal   log σ/α ~ N(−1.2, 1.2²), cut to the interval, which is a density ∝ q(t) (1);
                 ω = Z / ((t_max − t_min) q),   Z = ∫ q dt

    q(t) = φ((log σ/α + 1.2)/1.2) g²/(2.4 σ²),     φ the standard normal density            (1)

`log_snr` and `log_normal` are importance sampling for the weightings `likelihood` and `edm`, whose
g²/σ² and q they cancel.

Where α(t_max) = 0, as of a rectified flow at 1, log-SNR has no end to be uniform up to. These two
then draw no time after the one at which α/σ = 10⁻³. ‖ε̂ − ε‖² = (α/σ)² ‖d̂ − data‖² is below
10⁻⁶ ‖d̂ − data‖² after it, so what the mean lacks is less than that, under `sigma2` times the length
of the part left out (10⁻³ of a flow), under `likelihood` in all; under `edm` it is 10⁻¹¹ of Z.

References: Song et al. 2021 "Maximum likelihood training of score-based diffusion models" §5.1 (ω);
Kingma et al. 2021 "Variational diffusion models" App. I.1 (low-discrepancy u); Karras et al. 2022
"Elucidating the design space of diffusion-based generative models" Table 1 (log_normal).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtr, ndtri
from jax.scipy.stats import norm

from sde_lib.registry import Registry
from sde_lib.sde import SDE
from sde_lib.shapes import AnyTimes, Times

time_samplers = Registry("time sampler", Callable)

TimeSampler = Callable[..., tuple[Array, Array]]
"""(SDE, u [B], t_min, t_max = 1) → (t, ω), each [B]."""

_LOG_NORMAL_MEAN, _LOG_NORMAL_STD = -1.2, 1.2
_MIN_SIGNAL = 1e-3


def independent(key: Array, num: int) -> Array:
    """Independent u [num], each uniform on [0, 1)."""
    return jax.random.uniform(key, (num,))


def low_discrepancy(key: Array, num: int) -> Array:
    """Evenly spread u [num], each uniform on [0, 1), so that the mean loss varies less.

    u_i = (u_0 + i/num) mod 1.

    Reference: Kingma et al. 2021, App. I.1.
    """
    return (jax.random.uniform(key, ()) + jnp.arange(num) / num) % 1.0


@time_samplers.register("uniform")
def uniform(sde: SDE, u: Times, t_min: float, t_max: float = 1.0) -> tuple[Times, Times]:
    """Times that are uniform.

    Args:
      sde: the SDE, which does not matter here.
      u: uniform on [0, 1), [B].
      t_min: where the times start.
      t_max: where they end.

    Returns:
      The times t [B], and their importance ω = 1 [B].
    """
    del sde
    return u * (t_max - t_min) + t_min, jnp.ones_like(u)


@time_samplers.register("log_snr")
def log_snr(sde: SDE, u: Times, t_min: float, t_max: float = 1.0) -> tuple[Times, Times]:
    """Times whose log-SNR is uniform.

    Args:
      sde: the SDE whose log-SNR it is.
      u: uniform on [0, 1), [B].
      t_min: where the times start.
      t_max: where they end, or where α/σ = 10⁻³ if there is no signal at t_max.

    Returns:
      The times t [B], and their importance ω [B].
    """
    last = _last_time(sde, t_max)
    start, end = sde.log_snr(t_min), sde.log_snr(last)
    t = jnp.clip(sde.time_of_log_snr(start + u * (end - start)), t_min, last)
    density = snr_decay(sde, t) / (start - end)
    return t, 1 / (density * (t_max - t_min))


@time_samplers.register("log_normal")
def log_normal(sde: SDE, u: Times, t_min: float, t_max: float = 1.0) -> tuple[Times, Times]:
    """Times whose log σ/α is normal, as in EDM.

    Args:
      sde: the SDE whose α and σ they are.
      u: uniform on [0, 1), [B].
      t_min: where the times start.
      t_max: where they end, or where α/σ = 10⁻³ if there is no signal at t_max.

    Returns:
      The times t [B], and their importance ω [B].
    """
    last = _last_time(sde, t_max)
    start, end = ndtr(_log_normal_score(sde, t_min)), ndtr(_log_normal_score(sde, last))
    log_noise = _LOG_NORMAL_MEAN + _LOG_NORMAL_STD * ndtri(start + u * (end - start))
    t = jnp.clip(sde.time_of_log_snr(-2 * log_noise), t_min, last)
    return t, (end - start) / (log_normal_density(sde, t) * (t_max - t_min))


def _last_time(sde: SDE, t_max: float) -> Array:
    """t_max, or the time of the least signal where t_max has none."""
    least = sde.time_of_noise_to_signal(1 / _MIN_SIGNAL)
    return jnp.where(jnp.isfinite(sde.log_snr(t_max)), t_max, least)


def log_normal_density(sde: SDE, t: Times) -> Times:
    """The density q(t) of times, eq. 1 of `time_sampling`; 0 where α or σ is."""
    q = norm.pdf(_log_normal_score(sde, t)) * snr_decay(sde, t) / (2 * _LOG_NORMAL_STD)
    # 0 · ∞ at the ends of an SDE whose σ/α runs from 0 to ∞.
    return jnp.nan_to_num(q, nan=0.0)


def _log_normal_score(sde: SDE, t: AnyTimes) -> Array:
    """log σ/α less its mean, over its standard deviation."""
    return (-sde.log_snr(t) / 2 - _LOG_NORMAL_MEAN) / _LOG_NORMAL_STD


def snr_decay(sde: SDE, t: Times) -> Times:
    """g²/σ² = −d(log α²/σ²)/dt."""
    return (sde.diffusion(t) / sde.sigma(t)) ** 2
