"""What the commands need to know of each kind of sampler (`samplers.sampler`), in one class a kind.

What it checks and builds, what decides its samples, what its files are called, which flags it does
not take.
"""

import abc
import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

from experiments.builders.grid import build_grid, num_steps, sampling_t_min
from experiments.builders.likelihood import make_divergence
from experiments.builders.solver import build_corrector, build_solver, try_method, try_solver
from experiments.config_schema.choice import check_fields, parse, with_fields
from experiments.config_schema.lookup import one_of
from experiments.config_schema.sections import Experiment, SamplingConfig
from experiments.errors import UserError
from samplers import (
    Adams,
    AdaptiveSDESampler,
    ByTolerance,
    FlowSampler,
    GridSampler,
    Integrator,
    RungeKutta,
    Sampler,
    Solver,
)
from sde_lib import SDE


@dataclasses.dataclass(frozen=True)
class SamplingMethod(abc.ABC):
    """How an experiment is sampled under an SDE.

    Args:
      experiment: its `sampling` section says how.
      sde: the SDE.
      grids: the folder of grids that are used by name.
    """

    refuses: ClassVar[tuple[str, ...]]
    """The flags of the command `sample` that methods of this kind do not take."""

    others: ClassVar[str]
    """Which methods take them, in a few words."""

    has_density: ClassVar[bool] = False
    """Whether samples may come with their log-densities."""

    experiment: Experiment
    sde: SDE
    grids: pathlib.Path | None = None

    @property
    def config(self) -> SamplingConfig:
        """The section `sampling`."""
        return self.experiment.sampling

    @property
    @abc.abstractmethod
    def sampler(self) -> Sampler:
        """The sampler, built once.

        Raises:
          UserError: an unknown name or field, or a value out of range.
        """

    @abc.abstractmethod
    def check(self) -> None:
        """Check the fields of `sampling.solver`, whose name is known, and a user's own code.

        Raises:
          UserError: the first that is wrong.
        """

    @abc.abstractmethod
    def protocol(self) -> dict[str, Any]:
        """What samples follow from beside the model and the SDE; arrays as they are."""

    def words(self) -> list[str]:
        """What people look for in a file's name, beside the solver and its fields."""
        return []

    def with_tolerance(self, rtol: float) -> SamplingConfig:
        """The section with a tolerance, where it is a field of the solver's own."""
        del rtol
        return self.config

    def on_grid(self) -> "GridMethod":
        """Itself, if it is a solver on a grid.

        Raises:
          UserError: it is not.
        """
        raise UserError(f"--solver: got {self.config.solver!r}, takes a solver on a grid")

    def check_flags(self, flags: Mapping[str, Any]) -> None:
        """Stop the flags that it does not take.

        Args:
          flags: by name; what is not given is None, False or not there.

        Raises:
          UserError: the first such flag.
        """
        for name in self.refuses:
            if flags.get(name):
                raise UserError(f"--{name}: takes {self.others}, not {self.config.solver!r}")


@dataclasses.dataclass(frozen=True)
class GridMethod(SamplingMethod):
    """A solver, and perhaps a corrector, on a grid of times."""

    refuses = ("rtol",)
    others = "an adaptive solver"

    @functools.cached_property
    def solver(self) -> Solver:
        """The solver of the sampler."""
        return build_solver(self.config, self.experiment.data.std)

    @property
    def num_steps(self) -> int:
        """The number of steps of a grid by name."""
        return num_steps(self.config, self.solver)

    @functools.cached_property
    def sampler(self) -> GridSampler:
        """The solver and the corrector on the grid."""
        std = self.experiment.data.std
        return GridSampler(
            solver=self.solver,
            corrector=build_corrector(self.config),
            grid=build_grid(self.config, self.solver, self.sde, std, self.grids),
            data_std=std,
            denoise=self.config.denoise,
        )

    def check(self) -> None:
        """Let the solver make a plan, and draw a few samples by what is called module:Class."""
        try_solver(self.config.solver, self.solver)
        names = self.config.solver, self.config.corrector
        own = [name for name in names if ":" in parse(name)[0]]
        if own:
            try_method(f"sampling: {', '.join(own)}", self.solver, build_corrector(self.config))

    def protocol(self) -> dict[str, Any]:
        """The solver and the corrector with all their fields, and the times."""
        corrector, grid = self.sampler.corrector, self.sampler.grid
        return {
            "solver": repr(self.solver),
            "corrector": None if corrector is None else repr(corrector),
            "grid": self.config.grid or self.solver.grid,
            "num_steps": len(grid) - 1,
            "times": grid,
        }

    def words(self) -> list[str]:
        """The corrector, the number of steps and the grid."""
        corrector, grid = self.config.corrector.removesuffix("none"), self.config.grid or ""
        return [corrector, f"{len(self.sampler.grid) - 1}steps", grid.rpartition("/")[2]]

    def on_grid(self) -> "GridMethod":
        """Itself."""
        return self


@dataclasses.dataclass(frozen=True)
class OwnStepsMethod(SamplingMethod):
    """A method whose steps each example chooses by a tolerance."""

    refuses = ("steps", "corrector", "grid", "trajectory")
    others = "a solver on a grid"

    kind: ClassVar[type[Sampler]]
    """The sampler's class."""

    fields: ClassVar[tuple[str, ...]] = ()
    """The fields of the class that may be given after the name, NAME:field=value."""

    about: ClassVar[tuple[str, str]]
    """For the table of solvers: whether it draws noise, and the fields that say how."""

    def given(self) -> dict[str, Any]:
        """The fields that are given after the name.

        Raises:
          UserError: one that there is not, or whose value is out of range.
        """
        given = parse(self.config.solver)[1]
        for field in given:
            one_of(field, self.fields, "sampling.solver", "field")
        check_fields(given, self.kind, "sampling.solver")
        return given

    def check(self) -> None:
        """Check the fields that are given."""
        self.given()

    @property
    def t_min(self) -> float:
        """Where it ends."""
        return sampling_t_min(self.config, self.sde)

    def protocol(self) -> dict[str, Any]:
        """The solver with its fields, and the last time."""
        return {"solver": self.config.solver, "t_min": self.t_min}


@dataclasses.dataclass(frozen=True)
class FlowMethod(OwnStepsMethod):
    """The probability flow, by the section's tolerances."""

    has_density = True
    kind = FlowSampler
    about = ("–", "tableau")

    @functools.cached_property
    def sampler(self) -> FlowSampler:
        """The flow; with log_prob also the divergence of the likelihood section."""
        likelihood = self.experiment.likelihood
        return FlowSampler(
            integrator=self.integrator(),
            t_min=self.t_min,
            data_std=self.experiment.data.std,
            denoise=self.config.denoise,
            divergence=functools.partial(make_divergence, likelihood, control=None)
            if self.config.log_prob
            else None,
        )

    def integrator(self) -> Integrator:
        """What the fields rtol, atol and tableau of the section describe."""
        steps = ByTolerance(rtol=self.config.rtol, atol=self.config.atol)
        if self.config.tableau == "adams":
            return Adams(steps=steps)
        return RungeKutta(tableau=self.config.tableau, steps=steps)

    def protocol(self) -> dict[str, Any]:
        """Also the integrator, and the likelihood section where densities come with samples."""
        likelihood = dataclasses.asdict(self.experiment.likelihood)
        own = {"log_prob": likelihood} if self.config.log_prob else {}
        return {**super().protocol(), "integrator": repr(self.integrator()), **own}

    def words(self) -> list[str]:
        """The tolerance."""
        return [f"rtol{self.config.rtol:g}"]


@dataclasses.dataclass(frozen=True)
class AdaptiveSDEMethod(OwnStepsMethod):
    """The reverse-time SDE with adaptive steps, by tolerances of its own."""

    kind = AdaptiveSDESampler
    fields = ("rtol", "atol", "max_evaluations")
    about = ("noise", ", ".join(fields))

    @functools.cached_property
    def sampler(self) -> AdaptiveSDESampler:
        """The SDE with the fields that are given."""
        return AdaptiveSDESampler(
            t_min=self.t_min,
            data_std=self.experiment.data.std,
            denoise=self.config.denoise,
            **self.given(),
        )

    def with_tolerance(self, rtol: float) -> SamplingConfig:
        """The section with the fields rtol and atol after the solver's name."""
        solver = with_fields(self.config.solver, rtol=rtol, atol=rtol)
        return dataclasses.replace(self.config, solver=solver)
