"""A trained experiment, opened from its workdir."""

import dataclasses
import os

from jax.sharding import Mesh

from experiments import build, flags
from experiments.checkpoints import Checkpoints
from experiments.config import Experiment, resolve
from experiments.data import WHOLE, Dataset, load
from experiments.errors import UserError
from experiments.train import load_split
from experiments.training import init_state
from experiments.workdir import Workdir
from models import ScoreModel
from sde_lib import SDE


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the commands after `train` need.

    Args:
      workdir: where it is from.
      experiment: its config, with this command's flags.
      sde: its SDE.
      model: its network with the parameters of the newest checkpoint.
      step: that checkpoint's.
      raw: whether its parameters themselves are taken, not their moving average.
      mesh: the devices to use.
    """

    workdir: Workdir
    experiment: Experiment
    sde: SDE
    model: ScoreModel
    step: int
    raw: bool
    mesh: Mesh

    @classmethod
    def open(
        cls, path: str | os.PathLike, overrides: list[str], mesh: Mesh, *, raw: bool = False
    ) -> "Trained":
        """The experiment of a workdir at its newest checkpoint.

        Args:
          path: the workdir.
          overrides: `--config.SECTION.FIELD=VALUE`.
          mesh: the devices to use.
          raw: take the parameters, not their moving average.

        Raises:
          UserError: no experiment or checkpoint there, or a bad override.
        """
        workdir = Workdir(path)
        experiment = resolve(flags.override(workdir.load(), overrides))
        build.check(experiment)
        network = build.network(experiment.model)
        shape = load_split(experiment, "train").shape
        with Checkpoints(workdir.checkpoints) as checkpoints:
            state = checkpoints.restore(init_state(experiment, network, shape, mesh))
        params = state.params if raw else state.ema_params
        sde = build.sde(experiment.sde)
        model = build.model(experiment, sde, network, params)
        return cls(workdir, experiment, sde, model, int(state.step), raw, mesh)

    def dataset(self, split: str) -> Dataset:
        """A split of the experiment's data."""
        return load_split(self.experiment, split)

    def examples(self, source: str | None, split: str | None) -> Dataset:
        """What to measure: a split of the experiment's data, or of another source, or all of that.

        Raises:
          UserError: examples that the model does not take.
        """
        if source is None:
            return self.dataset(self.experiment.likelihood.split)
        given = load(source, split or WHOLE, image_size=self.experiment.data.image_size)
        ours = self.dataset("train")
        for name in ("shape", "levels"):
            got, takes = getattr(given, name), getattr(ours, name)
            if got != takes:
                raise UserError(f"--data: {source} has {name} {got}, takes {takes}, the model's")
        return given
