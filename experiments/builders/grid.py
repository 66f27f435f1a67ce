"""From the `sampling` section to a grid of times: by name with fields as in `edm:rho=5`, of a file,
or fitted and kept in the workdir.
"""

import json
import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.builders.model import t_min_of
from experiments.config_schema.choice import check_fields, fields_of, parse
from experiments.config_schema.lookup import lookup, one_of
from experiments.config_schema.sde_defaults import SAMPLING_NOISE_TO_SIGNAL
from experiments.config_schema.sections import SamplingConfig
from experiments.errors import UserError, blaming
from experiments.paths import expand
from experiments.runtime.array_files import UNREADABLE
from samplers import Solver, grids
from sde_lib import SDE

_FITTED = "fitted:"


def sampling_t_min(config: SamplingConfig, process: SDE) -> float:
    """Where sampling ends: as given, else where σ/α is small enough."""
    return t_min_of(config.t_min, SAMPLING_NOISE_TO_SIGNAL, process)


def num_steps(config: SamplingConfig, solver: Solver) -> int:
    """As given, else as many as the solver usually takes."""
    return config.num_steps or solver.usual_steps


def build_grid(
    config: SamplingConfig,
    solver: Solver,
    process: SDE,
    data_std: float,
    folder: pathlib.Path | None = None,
) -> Array:
    """The time grid of a config: a name, or a file of times; by default the solver's own.

    Args:
      config: the section.
      solver: the solver that steps on it.
      process: the SDE.
      data_std: of the data in model units.
      folder: where grids are kept by name.

    Raises:
      UserError: an unknown name or field, or times that do not fall from at most 1 to t_min.
    """
    t_min = sampling_t_min(config, process)
    asked = config.grid or solver.grid
    if asked.startswith(_FITTED):
        return _fitted(asked.removeprefix(_FITTED), folder, process)
    if asked.endswith(".npy"):
        return _read(expand(asked))
    make, given = _named(asked)
    if "data_std" in fields_of(make):
        given = {"data_std": data_std} | given
    steps = num_steps(config, solver)
    with blaming(f"sampling.grid: {asked}"):
        times = _times(make, process, steps, t_min, tuple(given.items()))
        return _falling(np.asarray(times), asked) if ":" in parse(asked)[0] else times


@partial(jax.jit, static_argnames=("make", "num_steps", "t_min", "given"))
def _times(
    make: Callable[..., Array],
    process: SDE,
    num_steps: int,
    t_min: float,
    given: tuple[tuple[str, Any], ...],
) -> Array:
    """In one program: operation by operation it would be compiled for seconds."""
    return make(process, num_steps, t_min, **dict(given))


def is_read(asked: str | None) -> bool:
    """Whether a grid is of a file, which is looked for when it is built."""
    return asked is not None and (asked.startswith(_FITTED) or asked.endswith(".npy"))


def check_grid(asked: str | None) -> None:
    """Stop a grid by name that there is not; files are read when they are needed.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    if asked and not is_read(asked):
        _named(asked)


def _named(spec: str) -> tuple[Callable, dict[str, Any]]:
    """What makes a grid, and the fields that it is given.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    name, given = parse(spec)
    make = lookup(grids, name, "sampling.grid")
    check_fields(given, make, "sampling.grid")
    return make, given


def _fitted(name: str, folder: pathlib.Path | None, process: SDE) -> Array:
    """A grid that was kept as its noise-to-signal ratios, in the times of an SDE.

    Raises:
      UserError: there is none of that name.
    """
    kept = sorted(file.stem for file in folder.glob("*.json")) if folder else []
    one_of(name, kept, "sampling.grid", "fitted grid")
    assert folder is not None
    levels = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["noise_to_signal"]
    return process.time_of_noise_to_signal(jnp.asarray(levels))


def _read(file: pathlib.Path) -> Array:
    """Times from a .npy file.

    Raises:
      UserError: it has none, or they do not fall.
    """
    try:
        times = np.asarray(np.load(file), np.float64)
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"sampling.grid: {file}: {reason}; takes a .npy of times") from error
    return _falling(times, file)


def _falling(times: np.ndarray, where: object) -> Array:
    """Times that fall within [0, 1].

    Raises:
      UserError: they do not.
    """
    if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) < 0):
        raise UserError(f"sampling.grid: {where}: got shape {times.shape}, takes falling times [N]")
    if not (times[-1] >= 0 and times[0] <= 1):
        raise UserError(
            f"sampling.grid: {where}: got times from {times[0]:g} to {times[-1]:g}, takes 1 ≥ t ≥ 0"
        )
    return jnp.asarray(times, dtype=float)
