"""Draws samples by batches, as the section `sampling` says."""

import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from experiments.builders.sampling import method_of
from experiments.config_schema.sections import Experiment
from experiments.errors import UserError
from experiments.runtime import seeds
from experiments.runtime.devices import check_batch, fetch, put, replicated, sharded
from experiments.sampling.classifier_guide import ClassifierGuide
from experiments.sampling.conditions import check_guidance
from experiments.sampling.diagnosis import reason
from experiments.workdir.results import digest
from experiments.workdir.trained_model import TrainedModel
from samplers import Samples, guided
from sde_lib import SDE, Condition, Model


class BatchedSampler:
    """Draws any number of samples by batches; sample i depends on (seed, i) alone.

    The sampler, its solver and its grid are built once, here.

    Args:
      experiment: whose `sampling` section says how.
      sde: the SDE.
      model: the model.
      shape: of one example.
      mesh: the devices that share a batch.
      grids: the folder of grids that are used by name.
      guide: a classifier that guides the model.

    Raises:
      UserError: no such solver, corrector or grid, or a batch that the devices cannot share.
    """

    def __init__(
        self,
        experiment: Experiment,
        sde: SDE,
        model: Model,
        shape: tuple[int, ...],
        mesh: Mesh,
        grids: pathlib.Path | None = None,
        guide: ClassifierGuide | None = None,
    ):
        check_guidance(experiment)
        self.config, self.sde, self.guide = experiment.sampling, sde, guide
        self.model = guided(model, sde, scale=self.config.guidance)
        if guide is not None:
            self.model = guide(self.model, sde)
        self.shape, self.mesh = shape, mesh
        check_batch(mesh, self.config.batch_size, "sampling.batch_size")
        self.method = method_of(experiment, sde, grids)
        self.sampler = self.method.sampler

    @classmethod
    def of(
        cls,
        trained: TrainedModel,
        sde: str | None = None,
        guide: ClassifierGuide | None = None,
    ) -> "BatchedSampler":
        """The sampler of a trained model.

        Args:
          trained: the model, its experiment and its devices.
          sde: another SDE to sample under, NAME[:field=value,…].
          guide: a classifier that guides it.

        Raises:
          UserError: as above, or no such SDE.
        """
        return cls(
            trained.experiment,
            *trained.under_sde(sde),
            trained.train.shape,
            trained.mesh,
            trained.workdir.grids,
            guide,
        )

    def protocol(self) -> dict[str, Any]:
        """What samples follow from beside the model: the solver with all its fields, the times."""
        named = self.method.protocol()
        arrays = {name: value for name, value in named.items() if isinstance(value, Array)}
        return {
            **{name: value for name, value in named.items() if name not in arrays},
            **{f"{name}_digest": digest(value) for name, value in arrays.items()},
            "denoise": self.config.denoise,
            "guidance": self.config.guidance,
            **({} if self.guide is None else self.guide.protocol),
            "sampled_under": repr(self.sde),
            "sampled_under_digest": digest(self.sde),
            "batch_size": self.config.batch_size,
        }

    def draw(
        self,
        num: int,
        seed: int,
        *,
        progress: bool = False,
        keep: int = 0,
        latents: np.ndarray | None = None,
        cond: Condition | None = None,
    ) -> Samples:
        """`num` samples as NumPy arrays [num, ...]; the last batch is filled up and cut.

        Args:
          num: how many.
          seed: sample i depends on (seed, i) alone.
          progress: show a bar.
          keep: how many states of the way to keep.
          latents: standard normal [num, ...] to start from, instead of draws.
          cond: what each is conditioned on, NumPy arrays [num, ...]; None for nothing.

        Raises:
          UserError: a sample is not finite.
        """
        drawn = self.batches(num, seed, progress=progress, keep=keep, latents=latents, cond=cond)
        samples = jax.tree.map(lambda *parts: np.concatenate(parts), *drawn)
        self.check_finite(samples)
        return samples

    def batches(self, num: int, seed: int, **how: Any) -> Iterator[Samples]:
        """The same samples batch by batch, each drawn when it is asked for; none is checked.

        Args:
          num, seed: as of `draw`.
          how: the other arguments of `draw`.
        """
        for first in range(0, num, self.config.batch_size):
            yield self.batch(first, num, seed, **how)

    def batch(
        self,
        first: int,
        num: int,
        seed: int,
        *,
        progress: bool = False,
        keep: int = 0,
        latents: np.ndarray | None = None,
        cond: Condition | None = None,
    ) -> Samples:
        """The batch of `batches` that begins with sample `first`.

        Args:
          first: a multiple of the batch's size.
          num, seed, progress, keep, latents, cond: as of `draw`.
        """
        size, split = self.config.batch_size, sharded(self.mesh)
        rows = np.arange(first, first + size)
        given = jax.tree.map(
            lambda leaf: put(leaf[np.minimum(rows, num - 1)], split), (latents, cond)
        )
        drawn = self.sampler.draw(
            put(seeds.key_of(seed), replicated(self.mesh)),
            self.sde,
            self.model,
            (size, *self.shape),
            cond=given[1],
            indices=put(rows, split),
            latents=given[0],
            keep=keep,
            progress=progress,
        )
        return jax.tree.map(lambda leaf: leaf[: num - first], fetch(drawn))

    def check_finite(self, samples: Samples) -> None:
        """Stop samples that are not finite.

        Raises:
          UserError: some are; says how many, and why.
        """
        finite = np.isfinite(np.asarray(samples.x).reshape(len(samples.x), -1)).all(axis=1)
        if samples.log_prob is not None:
            # A standard error is NaN for one probe, a density never.
            finite &= np.isfinite(np.asarray(samples.log_prob))
        if not finite.all():
            why = reason(self.config, self.sampler, self.sde)
            raise UserError(
                f"sampling: {np.sum(~finite)} of {len(finite)} samples are not finite: {why}"
            )
