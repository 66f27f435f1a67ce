"""From the `sampling` section to a solver, a corrector and a grid.

Each may be given fields of its own: `unipc:order=2`, `edm:rho=5`. What follows from the experiment
(the data's scale) is filled in unless it is given.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.builders.model import t_min_of
from experiments.config_schema.choice import check_fields, fields_of, parse
from experiments.config_schema.lookup import construct, lookup, one_of, validated
from experiments.config_schema.own_code import check_returns
from experiments.config_schema.sde_defaults import SAMPLING_NOISE_TO_SIGNAL
from experiments.config_schema.sections import SamplingConfig
from experiments.errors import UserError, as_user_error, blaming
from experiments.paths import expand
from samplers import (
    Adams,
    ByTolerance,
    Corrector,
    Integrator,
    RungeKutta,
    Solver,
    correctors,
    grids,
    pairs,
    sample,
    sample_adaptively,
    solvers,
)
from sde_lib import SDE, VP, Prediction, sdes

PROBABILITY_FLOW = "probability_flow"
"""The solver's name that stands for the adaptive ODE, which has tolerances instead of a grid."""

_FITTED = "fitted:"

ADAPTIVE_SDE = "adaptive_sde"
"""The name of the reverse-time SDE with adaptive steps; its tolerances are fields of its own."""

ADAPTIVE = {
    PROBABILITY_FLOW: ("–", "tableau", "Song et al. 2021; Hairer, Nørsett & Wanner 1993, §III.5"),
    ADAPTIVE_SDE: ("noise", "rtol, atol, max_evaluations", "Jolicoeur-Martineau et al. 2021"),
}
"""Solvers without a grid: whether they draw, their fields, their reference."""


def is_adaptive(config: SamplingConfig) -> bool:
    """Whether the solver takes tolerances instead of a grid."""
    return parse(config.solver)[0] in ADAPTIVE


def build_solver(config: SamplingConfig, data_std: float) -> Solver:
    """The solver on a grid of a config.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    name, given = parse(config.solver)
    cls = lookup(solvers, name, "sampling.solver")
    check_fields(given, cls, "sampling.solver")
    known = {
        "discretization": config.discretization,
        "variance": config.variance,
        "s": data_std,
    }
    fields = {key: value for key, value in known.items() if key in fields_of(cls)} | given
    return validated(cls, fields, "sampling.solver")


def build_corrector(config: SamplingConfig) -> Corrector | None:
    """The corrector of a config, or None for "none".

    Raises:
      UserError: an unknown name or field.
    """
    if config.corrector == "none":
        return None
    name, given = parse(config.corrector)
    cls = lookup(correctors, name, "sampling.corrector")
    check_fields(given, cls, "sampling.corrector")
    renamed = {"num_steps": config.corrector_steps, "norm": config.corrector_norm}
    return construct(cls, config, "sampling", **renamed | given)


def build_grid(
    config: SamplingConfig, process: SDE, data_std: float, folder: pathlib.Path | None = None
) -> Array:
    """The time grid of a config: a name, or a file of times; by default the solver's own.

    Args:
      config: the section.
      process: the SDE.
      data_std: of the data.
      folder: where grids are kept by name.

    Raises:
      UserError: an unknown name or field, or times that do not fall from at most 1 to t_min.
    """
    t_min = sampling_t_min(config, process)
    asked = config.grid or build_solver(config, data_std).grid
    if asked.startswith(_FITTED):
        return _fitted(asked.removeprefix(_FITTED), folder, process)
    if asked.endswith(".npy"):
        return _read(expand(asked))
    make, given = named_grid(asked)
    if "data_std" in fields_of(make):
        given = {"data_std": data_std} | given
    steps = num_steps(config, data_std)
    with blaming(f"sampling.grid: {asked}"):
        # In one program: operation by operation it would be compiled for seconds.
        times = jax.jit(lambda process: make(process, steps, t_min, **given))(process)
        return _falling(np.asarray(times), asked) if ":" in parse(asked)[0] else times


def named_grid(spec: str) -> tuple[Callable, dict[str, Any]]:
    """What makes a grid, and the fields that it is given.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    name, given = parse(spec)
    make = lookup(grids, name, "sampling.grid")
    check_fields(given, make, "sampling.grid")
    return make, given


def num_steps(config: SamplingConfig, data_std: float) -> int:
    """As given, else as many as the solver usually takes."""
    return config.num_steps or build_solver(config, data_std).usual_steps


def named_sde(spec: str) -> SDE:
    """An SDE from NAME[:field=value,…].

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    name, given = parse(spec)
    cls = lookup(sdes, name, "--sde")
    check_fields(given, cls, "--sde")
    return validated(cls, given, "--sde")


def build_flow_integrator(config: SamplingConfig) -> Integrator:
    """The adaptive integrator of solver "probability_flow"."""
    steps = ByTolerance(rtol=config.rtol, atol=config.atol)
    if config.tableau == "adams":
        return Adams(steps=steps)
    return RungeKutta(tableau=config.tableau, steps=steps)


def adaptive_fields(config: SamplingConfig) -> dict[str, Any]:
    """The fields that an adaptive solver is given: of `adaptive_sde` alone.

    Raises:
      UserError: one that it has not, or that is not positive.
    """
    name, given = parse(config.solver)
    known = ["rtol", "atol", "max_evaluations"] if name == ADAPTIVE_SDE else []
    for field in given:
        one_of(field, known, "sampling.solver", "field")
    check_fields(given, sample_adaptively, "sampling.solver")
    return given


def sampling_t_min(config: SamplingConfig, process: SDE) -> float:
    """Where sampling ends: as given, else where σ/α is small enough."""
    return t_min_of(config.t_min, SAMPLING_NOISE_TO_SIGNAL, process)


def check_sampling(config: SamplingConfig, data_std: float) -> None:
    """The names and ranges of a sampling config.

    Raises:
      UserError: the first that is wrong.
    """
    if config.grid and not config.grid.startswith(_FITTED) and not config.grid.endswith(".npy"):
        named_grid(config.grid)
    if is_adaptive(config):
        adaptive_fields(config)
    else:
        name = parse(config.solver)[0]
        if ":" not in name:
            one_of(name, [*solvers, *ADAPTIVE], "sampling.solver", "solver")
        _try_out(config.solver, build_solver(config, data_std))
    if config.corrector != "none":
        name = parse(config.corrector)[0]
        if ":" not in name:
            one_of(name, ["none", *correctors], "sampling.corrector", "corrector")
        build_corrector(config)
    own = [name for name in (config.solver, config.corrector) if ":" in parse(name)[0]]
    if own and not is_adaptive(config):
        _check_method(
            f"sampling: {', '.join(own)}", build_solver(config, data_std), build_corrector(config)
        )
    one_of(config.tableau, ("adams", *pairs()), "sampling.tableau", "integrator")
    if config.solver == config.corrector == "none":
        raise UserError("sampling.solver: got 'none' with corrector 'none', takes one of the two")
    if config.log_prob and config.solver != PROBABILITY_FLOW:
        raise UserError(
            f"sampling.log_prob: got True, takes solver {PROBABILITY_FLOW!r}, not {config.solver!r}"
        )


def _try_out(name: str, built: Solver) -> None:
    """Plan two steps, which is where a solver looks at its fields."""
    with blaming(f"sampling.solver: {name}"), as_user_error("sampling.solver: "):
        jax.eval_shape(lambda grid: built.plan(VP(), built.steps(VP(), grid)), jnp.ones(3))


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
        times = np.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"sampling.grid: {file}: {error}") from error
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


def _check_method(whose: str, solver: Solver, corrector: Corrector | None) -> None:
    """Draw two samples of three dimensions in three steps.

    Raises:
      UserError: the solver or the corrector raises, or moves a state to another shape.
    """

    def model(x: Any, t: Any, cond: Any = None) -> Prediction:
        del t, cond
        return Prediction(data=x, noise=x)

    def draw(key: Any, grid: Any) -> Any:
        return sample(
            key,
            VP(),
            jax.tree_util.Partial(model),
            (2, 3),
            solver=solver,
            corrector=corrector,
            grid=grid,
        )

    check_returns(whose, draw, (jax.random.key(0), jnp.linspace(0.9, 0.1, 4)), jnp.zeros((2, 3)))
