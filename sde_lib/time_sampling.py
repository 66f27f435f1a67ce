"""Times at which the training loss is evaluated.

A time sampler maps u, uniform on [0, 1), to a time t on [t_min, t_max] and the importance weight
ω = (uniform density)/(density of t), so that E[ω L(t)] is the mean of L over uniform times:

    uniform   t = t_min + u (t_max − t_min),   ω = 1
    log_snr   log-SNR uniform, which is a density ∝ g²/σ² for every affine SDE, since
              d(log α²/σ²)/dt = −g²/σ²;   ω = Z / ((t_max − t_min) g²/σ²),
              Z = log-SNR(t_min) − log-SNR(t_max)

Under likelihood weighting `log_snr` is importance sampling: ω g²/σ² is constant.

References: Song et al. 2021 "Maximum likelihood training of score-based diffusion models" §5.1 (ω);
Kingma et al. 2021 "Variational diffusion models" App. I.1 (low-discrepancy u).
"""

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.registry import Registry
from sde_lib.sde import SDE

time_samplers = Registry("time sampler")


def independent(key: Array, num: int) -> Array:
    """u [num], independent and uniform on [0, 1)."""
    return jax.random.uniform(key, (num,))


def low_discrepancy(key: Array, num: int) -> Array:
    """u_i = (u_0 + i/num) mod 1: each uniform, together evenly spread, so the loss varies less."""
    return (jax.random.uniform(key, ()) + jnp.arange(num) / num) % 1.0


@time_samplers.register("uniform")
def uniform(sde: SDE, u: Array, t_min: float, t_max: float = 1.0) -> tuple[Array, Array]:
    """t [B] uniform, ω = 1. u [B]."""
    del sde
    return u * (t_max - t_min) + t_min, jnp.ones_like(u)


@time_samplers.register("log_snr")
def log_snr(sde: SDE, u: Array, t_min: float, t_max: float = 1.0) -> tuple[Array, Array]:
    """t [B] with uniform log-SNR, and ω. u [B]."""
    start, end = sde.log_snr(t_min), sde.log_snr(t_max)
    t = jnp.clip(sde.time_of_log_snr(start + u * (end - start)), t_min, t_max)
    density = snr_decay(sde, t) / (start - end)
    return t, 1 / (density * (t_max - t_min))


def snr_decay(sde: SDE, t: Array) -> Array:
    """g²/σ² = −d(log α²/σ²)/dt."""
    return (sde.diffusion(t) / sde.sigma(t)) ** 2
