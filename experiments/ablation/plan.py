"""What an ablation will cost, from one measured step of each shape.

    training   num_steps × seconds of an update
    samples    ⌈num/B⌉ × evaluations × seconds of an evaluation of B examples
    bits/dim   N × repeats × evaluations × (1 + a divergence) × seconds of an evaluation / B

Updates and evaluations are measured here, once compiled. Where examples choose their own steps the
number of evaluations is assumed.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from experiments.ablation import quantities
from experiments.ablation.cell import Cell
from experiments.ablation.question import Question
from experiments.builders.method import GridMethod
from experiments.builders.model import (
    build_model,
    build_network,
    build_sde,
    conditioned,
    example_condition,
)
from experiments.builders.sampling import method_of
from experiments.config_schema.sections import Experiment, LikelihoodConfig
from experiments.data import Split
from experiments.data.experiment_split import split_of
from experiments.runtime import seeds
from experiments.runtime.devices import put, replicated, sharded
from experiments.training.cost import Cost, cost_of, step_cost
from experiments.workdir.folder import Workdir
from models import init_params

ASSUMED = 60
"""Evaluations of a method that chooses its own steps."""

_HUTCHINSON = 2
"""What a probe adds to an evaluation, in evaluations."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seconds:
    """What one cell costs.

    Args:
      train, sample, likelihood: seconds of each; 0 where there is nothing to do.
    """

    train: float = 0.0
    sample: float = 0.0
    likelihood: float = 0.0

    @property
    def total(self) -> float:
        """Of all three."""
        return self.train + self.sample + self.likelihood


class Planner:
    """Measures what cells cost; what has the same shape is measured once.

    Args:
      question: whose cells they are.
      mesh: the devices.
    """

    def __init__(self, question: Question, mesh: Mesh):
        self._question, self._mesh = question, mesh
        self._names = quantities.names(question)
        self.measured: dict[tuple[str, str], Cost] = {}
        self._models: set[str] = set()

    def seconds(self, cell: Cell, trained: bool) -> Seconds:
        """What a cell costs, after those that were asked about before.

        Args:
          cell: the cell.
          trained: whether its model is there.

        Raises:
          UserError: its data cannot be read, or do not fit.
        """
        experiment, split, train = cell.experiment, _data(cell), 0.0
        if not trained and cell.record.workdir not in self._models:
            self._models.add(cell.record.workdir)
            train = experiment.training.num_steps * self._update(experiment, split).each
        batch = experiment.sampling.batch_size
        batches = math.ceil((self._question.num or experiment.sampling.num) / batch)
        each = self._evaluation(experiment, split, batch).each
        grids = Workdir(cell.record.workdir).grids if cell.trained else None
        sample = batches * evaluations(experiment, grids) * each
        likelihood = self._likelihood(experiment, split) if "bpd" in self._names else 0.0
        return Seconds(train=train, sample=sample, likelihood=likelihood)

    def _likelihood(self, experiment: Experiment, split: Split) -> float:
        config, dim = experiment.likelihood, math.prod(split.shape)
        num = split_of(experiment, config.split).num
        examples = min(num, self._question.limit or num)
        each = self._evaluation(experiment, split, config.batch_size).each / config.batch_size
        return examples * config.repeats * _evaluations_of_density(config, dim) * each

    def _update(self, experiment: Experiment, split: Split) -> Cost:
        batch = experiment.training.batch_size
        key = _key(f"an update of {batch} examples", experiment)
        if key not in self.measured:
            self.measured[key] = step_cost(experiment, split, self._mesh)
        return self.measured[key]

    def _evaluation(self, experiment: Experiment, split: Split, batch: int) -> Cost:
        key = _key(f"an evaluation of {batch} examples", experiment)
        if key not in self.measured:
            self.measured[key] = _evaluate(experiment, split, batch, self._mesh)
        return self.measured[key]


def _data(cell: Cell) -> Split:
    """The training split, of which a model that is there knows the shape without the data."""
    spec = Workdir(cell.record.workdir).data_spec if cell.trained else None
    return spec.split(cell.experiment) if spec else split_of(cell.experiment, "train")


def _key(what: str, experiment: Experiment) -> tuple[str, str]:
    """What is measured, and the network and data that decide its shapes."""
    facts = [dataclasses.asdict(experiment.model), dataclasses.asdict(experiment.data)]
    return what, json.dumps([*facts, experiment.training.accumulate], default=str)


def _evaluate(experiment: Experiment, split: Split, batch: int, mesh: Mesh) -> Cost:
    """The cost of one call of the network, with parameters that are drawn."""
    experiment = conditioned(experiment, split)
    network, sde = build_network(experiment.model), build_sde(experiment.sde)
    params = put(init_params(seeds.key_of(0), network, split.shape), replicated(mesh))
    model = build_model(experiment, sde, network, params)
    cond = put(example_condition(experiment.model, batch), sharded(mesh))
    t = put(jnp.full(batch, 0.5), sharded(mesh))
    x = put(jnp.zeros((batch, *split.shape)), sharded(mesh))
    denoise = jax.jit(lambda model, x: model(x, t, cond).data)
    return cost_of(lambda x: denoise(model, x), x)


def evaluations(experiment: Experiment, grids: pathlib.Path | None) -> int:
    """How often a sample evaluates the network, or how often it is assumed to.

    Args:
      experiment: the experiment.
      grids: the folder of grids that were fitted to its model; None for none.
    """
    sde = build_sde(experiment.sde)
    method = method_of(experiment, sde, grids)
    if isinstance(method, GridMethod):
        return method.sampler.num_evaluations(sde)
    return ASSUMED


def _evaluations_of_density(config: LikelihoodConfig, dim: int) -> float:
    """Evaluations of one log-density, with those that its divergence is as long as."""
    if config.estimator == "elbo":
        return config.num_times
    products = dim if config.divergence == "exact" else config.probes
    return (config.num_steps or ASSUMED) * (1 + _HUTCHINSON * products)


def as_text(cells: Sequence[Cell], costs: Sequence[Seconds], planner: Planner) -> str:
    """The plan as a table, its sum, and what it is made of.

    Args:
      cells: that are to be run.
      costs: of each.
      planner: what has measured them.
    """
    rows: list[tuple[str, ...]] = [("cell", "seed", "train", "sample", "bits/dim")]
    for cell, cost in zip(cells, costs, strict=True):
        parts = map(duration, (cost.train, cost.sample, cost.likelihood))
        rows.append((cell.name, str(cell.seed), *parts))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    compiling = sum(cost.first - cost.each for cost in planner.measured.values())
    total = sum(cost.total for cost in costs)
    measured = [f"{what} {cost.each:.3g} s" for (what, _), cost in planner.measured.items()]
    return "\n".join(
        [
            *lines,
            f"about {duration(total)} one after the other, besides compiling (what was measured "
            f"took {duration(compiling)})",
            f"measured: {'; '.join(measured)}",
            f"assumed: {ASSUMED} evaluations where examples choose their own steps; not in it: "
            "metrics of features",
        ]
    )


def duration(seconds: float) -> str:
    """Seconds in a unit that suits them."""
    if seconds == 0:
        return "–"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
