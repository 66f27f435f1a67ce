"""The number c that a network is given for the time.

time       999 t      for positional embeddings; published for VP and sub-VP
smld_step  round(999 (1 − t)), the step of SMLD's thousand noises, from the largest; for
           positional embeddings; published for VE trained at these
log_sigma  log σ(t)   for Fourier embeddings; published for VE
log_noise  log σ/α    means the same under every SDE; from −12 to 12, where x_t is data or noise
                      but for a part in e¹² ≈ 2e5 (at α = 0 the logarithm is infinite)
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from sde_lib import SDE, Registry
from sde_lib.shapes import Times

conditionings = Registry("conditioning", Callable)

Conditioning = Callable[[SDE, Array], Array]
"""(SDE, times [B]) → the number c [B] that stands for the time."""


@conditionings.register("time")
def time(sde: SDE, t: Times) -> Times:
    """999 t, the index of DDPM's thousand steps."""
    del sde
    return 999 * t


@conditionings.register("smld_step")
def smld_step(sde: SDE, t: Times) -> Times:
    """round(999 (1 − t)): the step whose noise is nearest, 0 for the largest."""
    del sde
    return jnp.round(999 * (1 - t))


@conditionings.register("log_sigma")
def log_sigma(sde: SDE, t: Times) -> Times:
    """log σ(t)."""
    return jnp.log(sde.sigma(t))


@conditionings.register("log_noise")
def log_noise(sde: SDE, t: Times) -> Times:
    """log σ/α = −½ log-SNR, within ±12."""
    return jnp.clip(-sde.log_snr(t) / 2, -12.0, 12.0)
