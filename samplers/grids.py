"""Time grids: N + 1 times, decreasing from t_max to t_min, for N steps.

Each is uniform in a quantity of its own; all but `uniform`, `quadratic` and `published` in one of
n = σ/α, which means the same for every SDE. What is infinite there at an end (α = 0, σ = 0) starts
or stops at n = 150 or 1/20000, the end itself excepted.

Every grid takes the SDE, the number of steps N and the two ends, and fields of its own by keyword;
it returns the times [N + 1], whose ends are exactly t_max and t_min.
"""

from collections.abc import Callable
from typing import Annotated

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from samplers.coordinates.forms import Form, RectifiedForm, VelocityForm
from sde_lib import SDE, Range, Registry

grids = Registry("grid", Callable)

# λ = −log n, between which a quantity that may be infinite is spaced. The levels of EDM, n from 80
# to 0.002 (Karras et al. 2022), lie well within.
_MIN_HALF_LOG_SNR, _MAX_HALF_LOG_SNR = -5.0, 10.0


@grids.register("uniform")
def uniform(
    sde: SDE, num_steps: int, t_min: Array | float, t_max: Array | float = 1.0
) -> Float[Array, "times"]:
    """Times uniform in t itself."""
    del sde
    return jnp.linspace(t_max, t_min, num_steps + 1)


@grids.register("quadratic")
def quadratic(
    sde: SDE, num_steps: int, t_min: Array | float, t_max: Array | float = 1.0
) -> Float[Array, "times"]:
    """Times uniform in √t.

    Reference: Song et al. 2021 "DDIM", App. D.2.
    """
    del sde
    return _with_ends(jnp.linspace(t_max**0.5, t_min**0.5, num_steps + 1) ** 2, t_min, t_max)


@grids.register("log_snr")
def log_snr(
    sde: SDE, num_steps: int, t_min: Array | float, t_max: Array | float = 1.0
) -> Float[Array, "times"]:
    """Times uniform in the log-SNR, log α²/σ².

    Reference: Lu et al. 2022 "DPM-Solver".
    """
    return _spaced(sde, num_steps, t_min, t_max, lambda level: level, lambda level: level)


@grids.register("edm")
def edm(
    sde: SDE,
    num_steps: int,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    *,
    rho: Annotated[float, Range(above=0)] = 7.0,
) -> Float[Array, "times"]:
    """Times uniform in (σ/α)^{1/ρ}: EDM's, denser where there is little noise.

    Args:
      rho: ρ, 7 in the paper.

    Reference: Karras et al. 2022 "EDM", eq. 5.
    """
    return _spaced(
        sde,
        num_steps,
        t_min,
        t_max,
        lambda level: jnp.exp(-level / rho),
        lambda root: -rho * jnp.log(root),
    )


@grids.register("rectified")
def rectified(
    sde: SDE,
    num_steps: int,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    *,
    data_std: Annotated[float, Range(above=0)] = 0.5,
) -> Float[Array, "times"]:
    """Times uniform in n/(s + n), the time of a rectified flow of data with deviation s.

    Args:
      data_std: s.
    """
    return _of_form(RectifiedForm(s=data_std), sde, num_steps, t_min, t_max)


@grids.register("cosine")
def cosine(
    sde: SDE,
    num_steps: int,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    *,
    data_std: Annotated[float, Range(above=0)] = 0.5,
) -> Float[Array, "times"]:
    """Times uniform in arctan(n/s), the time of a cosine schedule for data with deviation s.

    Args:
      data_std: s.
    """
    return _of_form(VelocityForm(s=data_std), sde, num_steps, t_min, t_max)


@grids.register("published")
def published(
    sde: SDE, num_steps: int, t_min: Array | float, t_max: Array | float = 1.0
) -> Float[Array, "times"]:
    """The N times linspace(t_max, t_min, N) of Song et al. 2021, each the start of a step.

    The last step starts at t_min, so t_min stands twice; a predictor with
    `discretization="published"` takes its step length from N, not from the grid.
    """
    del sde
    times = jnp.linspace(t_max, t_min, num_steps)
    return jnp.append(times, times[-1])


def _of_form(
    form: Form, sde: SDE, num_steps: int, t_min: Array | float, t_max: Array | float
) -> Array:
    """Uniform in the M of a form, which is finite at both ends."""
    first, last = (form.variable(sde.log_snr(t) / 2) for t in (t_max, t_min))
    times = sde.time_of_log_snr(2 * form.half_log_snr(jnp.linspace(first, last, num_steps + 1)))
    return _with_ends(times, t_min, t_max)


def _spaced(
    sde: SDE,
    num_steps: int,
    t_min: Array | float,
    t_max: Array | float,
    to: Callable,
    back: Callable,
) -> Array:
    """Uniform in to(−log n)."""
    levels = (
        jnp.clip(sde.log_snr(t) / 2, _MIN_HALF_LOG_SNR, _MAX_HALF_LOG_SNR) for t in (t_max, t_min)
    )
    first, last = (to(level) for level in levels)
    times = sde.time_of_log_snr(2 * back(jnp.linspace(first, last, num_steps + 1)))
    return _with_ends(times, t_min, t_max)


def _with_ends(times: Array, t_min: Array | float, t_max: Array | float) -> Array:
    """The grid with its ends exact, which inverting log-SNR may have moved by a rounding."""
    return times.at[0].set(t_max).at[-1].set(t_min)
