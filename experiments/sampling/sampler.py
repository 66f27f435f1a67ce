"""Draws samples by batches, as the section `sampling` says."""

import dataclasses
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

import samplers
from experiments.builders.likelihood import make_divergence
from experiments.builders.sampling import (
    PROBABILITY_FLOW,
    adaptive_fields,
    build_corrector,
    build_flow_integrator,
    build_grid,
    build_solver,
    is_adaptive,
    sampling_t_min,
)
from experiments.config_schema.sections import Experiment
from experiments.errors import UserError
from experiments.runtime import seeds
from experiments.runtime.devices import check_batch, fetch, put, replicated, sharded
from experiments.sampling.diagnosis import reason
from experiments.sampling.latents import latents_of
from experiments.workdir.results import digest
from sde_lib import SDE, Model


@dataclasses.dataclass(frozen=True)
class Samples:
    """values: [N, ...] in model units. evaluations: network calls for each [N]. seconds: taken.

    log_prob, log_prob_error: of the states at t_min in nats, and its standard error through the
    probes [N], where asked for. path: what the model took the data to be on the way [K, N, ...].
    finished: whether an adaptive solver reached the end [N].
    """

    values: np.ndarray
    evaluations: np.ndarray
    seconds: float
    log_prob: np.ndarray | None = None
    log_prob_error: np.ndarray | None = None
    path: np.ndarray | None = None
    finished: np.ndarray | None = None


class Sampler:
    """Draws any number of samples by batches; sample i depends on (seed, i) alone.

    Args:
      experiment: whose `sampling` section says how.
      sde: the SDE.
      model: the model.
      shape: of one example.
      mesh: the devices that share a batch.
      grids: the folder of grids that are used by name.

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
    ):
        self.config, self.sde, self.shape, self.mesh = experiment.sampling, sde, shape, mesh
        self.data_std, self.likelihood = experiment.data.std, experiment.likelihood
        self.model = model
        check_batch(mesh, self.config.batch_size, "sampling.batch_size")
        self._on_grid: dict[str, Any] = {}
        if not is_adaptive(self.config):
            self._on_grid = {
                "solver": build_solver(self.config, self.data_std),
                "corrector": build_corrector(self.config),
                "grid": build_grid(self.config, sde, self.data_std, grids),
            }

    @property
    def num_steps(self) -> int | None:
        """Steps of the grid; None of a solver that chooses its own."""
        return len(self._on_grid["grid"]) - 1 if self._on_grid else None

    def protocol(self) -> dict[str, Any]:
        """What samples follow from beside the model: the solver with all its fields, the times."""
        config, sde = self.config, self.sde
        if self._on_grid:
            solver, corrector = self._on_grid["solver"], self._on_grid["corrector"]
            how: dict[str, Any] = {
                "solver": repr(solver),
                "corrector": None if corrector is None else repr(corrector),
                "grid": config.grid or solver.grid,
                "num_steps": self.num_steps,
                "times_digest": digest(self._on_grid["grid"]),
            }
        else:
            how = {
                "solver": config.solver,
                "integrator": repr(build_flow_integrator(config)),
                "t_min": sampling_t_min(config, sde),
                "log_prob": dataclasses.asdict(self.likelihood) if config.log_prob else None,
            }
        return how | {
            "denoise": config.denoise,
            "sampled_under": repr(sde),
            "sampled_under_digest": digest(sde),
            "batch_size": config.batch_size,
        }

    def draw(
        self,
        num: int,
        seed: int,
        *,
        progress: bool = False,
        keep: int = 0,
        latents: np.ndarray | None = None,
    ) -> Samples:
        """`num` samples; the last batch is filled up and cut.

        Args:
          num: how many.
          seed: sample i depends on (seed, i) alone.
          progress: show a bar.
          keep: how many states of the way to keep.
          latents: standard normal [num, ...] to start from, instead of draws.

        Raises:
          UserError: a sample is not finite.
        """
        start, size = time.perf_counter(), self.config.batch_size
        batches = []
        for first in range(0, num, size):
            rows = np.arange(first, first + size)
            indices = put(rows, sharded(self.mesh))
            given = None
            if latents is not None:
                given = put(latents[np.minimum(rows, num - 1)], sharded(self.mesh))
            key = put(seeds.key_of(seed), replicated(self.mesh))
            batch = self._batch(key, indices, given, progress, keep)
            batches.append(fetch(batch))
        parts = {
            name: np.concatenate([batch[name] for batch in batches])[:num] for name in batches[0]
        }
        finite = np.isfinite(parts["values"]).reshape(num, -1).all(axis=1)
        # A standard error is NaN for one probe, a density never.
        finite &= np.isfinite(parts.get("log_prob", 0.0))
        if not finite.all():
            why = reason(self.config, self.sde, **self._on_grid)
            raise UserError(
                f"sampling: {num - finite.sum()} of {num} samples are not finite: {why}"
            )
        if "path" in parts:
            parts["path"] = np.moveaxis(parts["path"], 1, 0)
        return Samples(**parts, seconds=time.perf_counter() - start)

    def _batch(
        self, key: Array, indices: Array, latents: Array | None, progress: bool, keep: int
    ) -> dict[str, Array]:
        """The fields of `Samples`, examples first."""
        config = self.config
        if config.solver == PROBABILITY_FLOW:
            return self._flow(key, indices, latents)
        if is_adaptive(config):
            return self._adaptively(key, indices, latents)
        options: dict[str, Any] = {
            **self._on_grid,
            "indices": indices,
            "latents": latents,
            "data_std": self.data_std,
            "denoise": config.denoise,
        }
        arguments = key, self.sde, self.model, (len(indices), *self.shape)
        total = samplers.evaluations(self.sde, denoise=config.denoise, **self._on_grid)
        counts = {"evaluations": jnp.full(len(indices), total)}
        if keep:
            path = samplers.sample_path(*arguments, keep=min(keep, total), **options)
            return {"values": path.x, "path": jnp.moveaxis(path.data, 0, 1)} | counts
        return {"values": samplers.sample(*arguments, progress=progress, **options)} | counts

    def _adaptively(self, key: Array, indices: Array, latents: Array | None) -> dict[str, Array]:
        config = self.config
        drawn = samplers.sample_adaptively(
            key,
            self.sde,
            self.model,
            (len(indices), *self.shape),
            t_min=sampling_t_min(config, self.sde),
            data_std=self.data_std,
            indices=indices,
            latents=latents,
            denoise=config.denoise,
            **adaptive_fields(config),
        )
        return {"values": drawn.x, "evaluations": drawn.evaluations, "finished": drawn.finished}

    def _flow(self, key: Array, indices: Array, latents: Array | None) -> dict[str, Array]:
        config = self.config
        if latents is None:
            latents = latents_of(key, indices, self.shape)
        latents = self.sde.prior_std() * latents
        flow = samplers.ProbabilityFlow(
            sde=self.sde,
            model=self.model,
            t_min=sampling_t_min(config, self.sde),
            data_std=self.data_std,
            integrator=build_flow_integrator(config),
        )
        if config.log_prob:
            # Probes of their own: the latents are drawn from the key itself.
            divergence = make_divergence(
                self.likelihood, jax.random.fold_in(key, 1), latents.shape, indices, None
            )
            known = flow.decode_with_log_prob(latents, divergence)
            return {
                "values": known.x,
                "evaluations": known.evaluations,
                "log_prob": known.log_prob,
                "log_prob_error": known.standard_error,
            }
        end = flow.decode(latents, denoise=config.denoise)
        return {"values": end.x, "evaluations": end.evaluations, "finished": end.finished}
