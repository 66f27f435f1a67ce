"""Time grids: N + 1 times, decreasing from t_max to t_min, for N steps."""

import jax.numpy as jnp
from jax import Array

from sde_lib import SDE, Registry

grids = Registry("grid")


@grids.register("uniform")
def uniform(sde: SDE, num_steps: int, t_min: float, t_max: float = 1.0) -> Array:
    """Uniform in t."""
    del sde
    return jnp.linspace(t_max, t_min, num_steps + 1)


@grids.register("log_snr")
def log_snr(sde: SDE, num_steps: int, t_min: float, t_max: float = 1.0) -> Array:
    """Uniform in log α²/σ² (Lu et al. 2022, "DPM-Solver")."""
    levels = jnp.linspace(sde.log_snr(t_max), sde.log_snr(t_min), num_steps + 1)
    return _with_ends(sde.time_of_log_snr(levels), t_min, t_max)


@grids.register("edm")
def edm(sde: SDE, num_steps: int, t_min: float, t_max: float = 1.0) -> Array:
    """Uniform in (σ/α)^{1/7} (Karras et al. 2022, eq. 5)."""
    rho = 7.0
    ends = sde.noise_to_signal(t_max) ** (1 / rho), sde.noise_to_signal(t_min) ** (1 / rho)
    levels = jnp.linspace(*ends, num_steps + 1) ** rho
    return _with_ends(sde.time_of_noise_to_signal(levels), t_min, t_max)


@grids.register("published")
def published(sde: SDE, num_steps: int, t_min: float, t_max: float = 1.0) -> Array:
    """The reference's N times linspace(t_max, t_min, N), each the start of a step.

    The last step starts at t_min, so t_min stands twice; a predictor with
    `discretization="published"` takes its step length from N, not from the grid.
    """
    del sde
    times = jnp.linspace(t_max, t_min, num_steps)
    return jnp.append(times, times[-1])


def _with_ends(times: Array, t_min: float, t_max: float) -> Array:
    """The grid with its ends exact, which inverting log-SNR may have moved by a rounding."""
    return times.at[0].set(t_max).at[-1].set(t_min)
