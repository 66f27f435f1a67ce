"""A trained experiment, opened from its workdir."""

import dataclasses
import os
from typing import Any

from jax.sharding import Mesh

from experiments.builders.model import build_model, build_network, build_sde
from experiments.builders.sampling import named_sde
from experiments.config_schema.sections import Experiment
from experiments.data import WHOLE, Split
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.runtime.versions import versions
from experiments.workdir.data_spec import DataSpec
from experiments.workdir.folder import Workdir
from experiments.workdir.restored_run import RestoredRun
from experiments.workdir.results import digest
from models import ScoreModel
from sde_lib import SDE, Model, ModelUnderSDE


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """What the commands after `train` need.

    Args:
      workdir: where it is from.
      experiment: its config, with this command's flags; the section `sde` has what was learned.
      sde: its SDE.
      model: its network with the parameters of the newest checkpoint.
      step: that checkpoint's.
      parameters: which of them: "raw", "ema" for their first average, or another's name.
      mesh: the devices to use.
      train: the training split, whose source is opened when examples are read.
    """

    workdir: Workdir
    experiment: Experiment
    sde: SDE
    model: ScoreModel
    step: int
    parameters: str
    mesh: Mesh
    train: Split

    @classmethod
    def open(
        cls,
        path: str | os.PathLike,
        overrides: list[str],
        mesh: Mesh,
        *,
        raw: bool = False,
        average: str | None = None,
        divergence: bool = False,
    ) -> "TrainedModel":
        """The experiment of a workdir at its newest checkpoint.

        Args:
          path: the workdir.
          overrides: `--config.SECTION.FIELD=VALUE`.
          mesh: the devices to use.
          raw: take the parameters, not their moving average.
          average: which average, of those that the run keeps; or "power:σ_rel" of any width, made
            from the snapshots of its power-law averages.
          divergence: whether that of the model is needed.

        Raises:
          UserError: no experiment, checkpoint or average there, a classifier's, or a bad override.
        """
        run = RestoredRun.open(path, overrides, mesh, raw=raw, average=average)
        experiment = run.experiment
        sde = build_sde(experiment.sde)
        divergence = divergence or experiment.sampling.log_prob
        network = build_network(experiment.model, divergence=divergence)
        model = build_model(experiment, sde, network, run.params)
        return cls(run.workdir, experiment, sde, model, run.step, run.parameters, mesh, run.train)

    @property
    def protocol(self) -> dict[str, Any]:
        """What all results of this model follow from: its origin, and a digest of its numbers."""
        return {
            "step": self.step,
            "parameters": self.parameters,
            "parameters_digest": digest(self.model),
            "model": dataclasses.asdict(self.experiment.model),
            "sde": dataclasses.asdict(self.experiment.sde),
            "data_std": self.experiment.data.std,
            "centered": self.experiment.data.centered,
            "shape": self.train.shape,
            "grey_levels": self.train.codec.levels,
            "versions": versions(),
        }

    def under_sde(self, spec: str | None) -> tuple[SDE, Model]:
        """The SDE and the model; or another SDE and the model under it.

        Args:
          spec: the other's NAME[:field=value,…].

        Raises:
          UserError: an unknown name or field, or a value out of range.
        """
        if spec is None:
            return self.sde, self.model
        sde = named_sde(spec)
        return sde, ModelUnderSDE(model=self.model, trained=self.sde, sde=sde)

    def dataset(self, split: str) -> Split:
        """A split of the experiment's data.

        Raises:
          UserError: it cannot be loaded, is not what the model takes, or the data have changed.
        """
        self._check_unchanged()
        return self._checked(split_of(self.experiment, split).load(), "data.source")

    def opened(self, split: str) -> Split:
        """A split of the experiment's data, whose examples are read when they are asked for.

        Raises:
          UserError: it cannot be opened, or the data have changed.
        """
        self._check_unchanged()
        return split_of(self.experiment, split)

    def _check_unchanged(self) -> None:
        """Stop where a split may hold other examples than it did in training.

        Raises:
          UserError: the data are not those that the model was trained on.
        """
        spec = self.workdir.data_spec
        if spec is None or not spec.digest:
            return
        here = DataSpec.of(split_of(self.experiment, "train"))
        if not spec.same_data(here):
            raise UserError(
                f"data.source: is {here}, takes what the model was trained on, {spec}; "
                "--data measures others"
            )

    def examples(self, source: str | None, split: str | None, *, conditions: bool = True) -> Split:
        """What to measure: a split of the experiment's data, or of another source, or all of that.

        Args:
          source: another source; None for the experiment's.
          split: of that; None for all of it.
          conditions: whether a conditional model needs those of the examples.

        Raises:
          UserError: examples that the model does not take.
        """
        if source is None:
            return self.dataset(self.experiment.likelihood.split)
        given = split_of(self.experiment, split or WHOLE, source).load()
        return self._checked(given, "--data", conditions)

    def _checked(self, given: Split, field: str, conditions: bool = True) -> Split:
        for name, got, takes in (
            ("shape", given.shape, self.train.shape),
            ("levels", given.codec.levels, self.train.codec.levels),
        ):
            if got != takes:
                raise UserError(
                    f"{field}: {given.source} has {name} {got}, takes {takes}, the model's"
                )
        has = given.num_classes or given.cond_dim
        if self.experiment.model.conditional and (conditions or has):
            self._check_conditions(given, field)
            return given.standardised_as(self.train)
        return given

    def _check_conditions(self, given: Split, field: str) -> None:
        """Stop examples without the conditions that the model takes.

        Raises:
          UserError: they have none, other classes, or other vectors.
        """
        has, takes = given.num_classes, self.train.num_classes
        if width := self.train.cond_dim:
            if given.cond_dim != width:
                raise UserError(
                    f"{field}: {given.source} has vectors of {given.cond_dim} numbers, takes "
                    f"{width}, the model's"
                )
        elif not has:
            raise UserError(f"{field}: {given.source} has no labels, which the model takes")
        elif has > takes:
            raise UserError(
                f"{field}: {given.source} has {has} classes, takes at most {takes}, the model's"
            )
        for theirs, ours in zip(given.class_names, self.train.class_names, strict=False):
            if theirs != ours:
                raise UserError(
                    f"{field}: {given.source} has the class {theirs!r} where the model has "
                    f"{ours!r}, takes the model's, in their order"
                )
