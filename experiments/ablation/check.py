"""Everything that cells take, checked before anything is run: names, types, ranges, shapes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jax.sharding import Mesh

from experiments.ablation import quantities
from experiments.ablation.cell import Cell
from experiments.ablation.question import Question
from experiments.builders import check as experiments_check
from experiments.builders.grid import is_read
from experiments.builders.model import build_sde, check_outputs
from experiments.builders.sampling import method_of
from experiments.config_schema.sections import Experiment
from experiments.data import Split
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.evaluation.features import build_features
from experiments.evaluation.question import Question as MetricsQuestion
from experiments.evaluation.question import default_features
from experiments.runtime.devices import check_batch
from experiments.sampling.conditions import check_guidance
from experiments.training.setup import check_batches, fitting
from experiments.workdir.folder import Workdir, flat


class Checker:
    """Checks cells one by one; what several share is checked once.

    Args:
      question: whose cells they are.
      mesh: the devices.
    """

    def __init__(self, question: Question, mesh: Mesh):
        self._names, self._mesh = quantities.names(question), mesh
        self._features, self._num = question.features, question.num
        self._splits: dict[str, Split] = {}
        self._seen: set[str] = set()

    def check(self, cells: Sequence[Cell]) -> None:
        """Check cells in order.

        Raises:
          UserError: the first thing that is wrong; names the cell.
        """
        for cell in cells:
            with _naming(cell):
                self._check(cell)

    def _check(self, cell: Cell) -> None:
        """Check a cell, unless one that differs in its seed alone has been."""
        facts = json.dumps([{**flat(cell.experiment), "seed": 0}, cell.trained])
        if facts in self._seen:
            return
        experiment = cell.experiment
        experiments_check.check(experiment)
        check_outputs(experiment.model, "states", "ablate")
        check_batch(self._mesh, experiment.likelihood.batch_size, "likelihood.batch_size")
        if cell.trained:
            check_batch(self._mesh, experiment.sampling.batch_size, "sampling.batch_size")
            check_guidance(experiment)
        else:
            check_batches(experiment, self._mesh)
            fitting(experiment, self._split(experiment, "train"))
        if is_read(experiment.sampling.grid):
            # A model that is trained for this has no grids of its own yet.
            grids = Workdir(cell.record.workdir).grids if cell.trained else None
            _ = method_of(experiment, build_sde(experiment.sde), grids).sampler
        if "bpd" in self._names:
            self._split(experiment, experiment.likelihood.split)
        if others := quantities.of_evaluation(self._names):
            self._check_evaluation(experiment, ",".join(others))
        self._seen.add(facts)

    def _check_evaluation(self, experiment: Experiment, metrics: str) -> None:
        """Raises UserError where samples will not have what a metric needs."""
        data = self._split(experiment, "train")
        build_features(self._features or default_features(data))
        labelled = experiment.model.conditional and not data.cond_dim
        asked = MetricsQuestion.of(metrics)
        asked.check(examples=True, test=True, probabilities=True, labels=labelled)
        if self._num is not None:
            asked.check_num(self._num)

    def _split(self, experiment: Experiment, name: str) -> Split:
        """A split of the experiment's data, opened once; its examples are not read."""
        key = json.dumps([name, {k: v for k, v in flat(experiment).items() if k[:5] == "data."}])
        if key not in self._splits:
            self._splits[key] = split_of(experiment, name)
        return self._splits[key]


@contextmanager
def _naming(cell: Cell) -> Iterator[None]:
    """A UserError with the cell's values before it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{cell.name}: {error}") from error
