"""The command `sample`: from a workdir to images."""

import dataclasses
import math
import pathlib
import re
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

import samplers
from experiments import solver_choice
from experiments.data import LazyDataset, to_levels
from experiments.devices import check_batch, fetch, put, replicated, sharded
from experiments.errors import UserError
from experiments.estimator import make_divergence
from experiments.finite import reason
from experiments.latents import latents_of
from experiments.pictures import image_grid, save_gif, save_png, scatter
from experiments.sections import Experiment
from sde_lib import SDE, Model

_SHOWN = 100


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
        self.grids = grids
        self.data_std, self.likelihood = experiment.data.std, experiment.likelihood
        self.model = model
        check_batch(mesh, self.config.batch_size, "sampling.batch_size")

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
            key = put(jax.random.key(seed), replicated(self.mesh))
            batch = self._batch(key, indices, given, progress, keep)
            batches.append(fetch(batch))
        parts = {
            name: np.concatenate([batch[name] for batch in batches])[:num] for name in batches[0]
        }
        finite = np.isfinite(parts["values"]).reshape(num, -1).all(axis=1)
        # A standard error is NaN for one probe, a density never.
        finite &= np.isfinite(parts.get("log_prob", 0.0))
        if not finite.all():
            why = reason(self.config, self.sde, self.data_std, self.grids)
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
        if config.solver == solver_choice.PROBABILITY_FLOW:
            return self._flow(key, indices, latents)
        if solver_choice.is_adaptive(config):
            return self._adaptively(key, indices, latents)
        solver = solver_choice.solver(config, self.data_std)
        grid = solver_choice.grid(config, self.sde, self.data_std, self.grids)
        options: dict[str, Any] = {
            "solver": solver,
            "corrector": solver_choice.corrector(config),
            "grid": grid,
            "indices": indices,
            "latents": latents,
            "denoise": config.denoise,
        }
        arguments = key, self.sde, self.model, (len(indices), *self.shape)
        total = samplers.evaluations(self.sde, solver, grid, options["corrector"], config.denoise)
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
            t_min=solver_choice.sampling_t_min(config, self.sde),
            data_std=self.data_std,
            indices=indices,
            latents=latents,
            denoise=config.denoise,
            **solver_choice.adaptive_fields(config),
        )
        return {"values": drawn.x, "evaluations": drawn.evaluations, "finished": drawn.finished}

    def _flow(self, key: Array, indices: Array, latents: Array | None) -> dict[str, Array]:
        config = self.config
        if latents is None:
            latents = latents_of(key, indices, self.shape)
        latents = self.sde.prior_std() * latents
        options: dict[str, Any] = {
            "t_min": solver_choice.sampling_t_min(config, self.sde),
            "data_std": self.data_std,
            "integrator": solver_choice.integrator(config),
        }
        if config.log_prob:
            # Probes of their own: the latents are drawn from the key itself.
            divergence = make_divergence(
                self.likelihood, jax.random.fold_in(key, 1), latents.shape, indices, None
            )
            known = samplers.decode_with_log_prob(
                self.sde, self.model, latents, divergence, **options
            )
            return {
                "values": known.x,
                "evaluations": known.evaluations,
                "log_prob": known.log_prob,
                "log_prob_error": known.standard_error,
            }
        flow = samplers.decode(self.sde, self.model, latents, denoise=config.denoise, **options)
        return {"values": flow.x, "evaluations": flow.evaluations, "finished": flow.finished}


def picture(values: np.ndarray, experiment: Experiment, dataset: LazyDataset) -> np.ndarray:
    """Samples in model units as one picture uint8 [., ., 3]."""
    if dataset.levels is None:
        return scatter(values, reference=_some(dataset, len(values)))
    levels = np.asarray(to_levels(values, dataset.levels, bool(experiment.data.centered)))
    return image_grid(levels, dataset.levels)


def _some(dataset: LazyDataset, num: int) -> np.ndarray | None:
    """Examples [num or fewer, ...]; None where the data are not here: samples need none."""
    try:
        return dataset.read(np.arange(min(num, dataset.num))).values
    except UserError:
        return None


def outputs(output: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """OUTPUT.png and OUTPUT.npz; OUTPUT may itself hold a dot, as in rtol0.001."""
    return output.with_name(output.name + ".png"), output.with_name(output.name + ".npz")


def describe(experiment: Experiment) -> str:
    """The sampler of an experiment in a few words fit for a file name."""
    config = experiment.sampling
    if config.solver == solver_choice.PROBABILITY_FLOW:
        return f"{config.solver}-rtol{config.rtol:g}" + "-log_prob" * config.log_prob
    if solver_choice.is_adaptive(config):
        return re.sub(r"[^\w.=-]+", "-", config.solver)
    corrector = "" if config.corrector == "none" else f"-{config.corrector}"
    words = (
        f"{config.solver}{corrector}-{solver_choice.num_steps(config, experiment.data.std)}steps"
    )
    return re.sub(r"[^\w.=-]+", "-", words)


def save(
    samples: Samples,
    experiment: Experiment,
    dataset: LazyDataset,
    output: pathlib.Path,
    about: dict[str, str],
) -> None:
    """Write OUTPUT.png, at most 100 images or all points, and OUTPUT.npz: all of them.

    The arrays: `images` uint8 grey levels [N, H, W, C] (or `points` float32 [N, D]), `evaluations`
    [N], and where asked for `log_prob` [N], in nats of the states in model units, with its standard
    error `log_prob_error`. A path is OUTPUT.gif.

    Args:
      about: goes into the picture's metadata.
    """
    png, npz = outputs(output)
    shown = len(samples.values) if dataset.levels is None else _SHOWN
    save_png(png, picture(samples.values[:shown], experiment, dataset), **about)
    if samples.path is not None:
        frames = [*samples.path[:, :shown], samples.values[:shown]]
        animation = output.with_name(output.name + ".gif")
        save_gif(animation, [picture(frame, experiment, dataset) for frame in frames])
    if dataset.levels is None:
        content: dict[str, Any] = {"points": samples.values}
    else:
        levels = to_levels(samples.values, dataset.levels, bool(experiment.data.centered))
        content = {"images": np.asarray(levels), "levels": np.asarray(dataset.levels)}
    if samples.log_prob is not None:
        content["log_prob"] = samples.log_prob
        content["log_prob_error"] = samples.log_prob_error
    if samples.finished is not None:
        content["finished"] = samples.finished
    np.savez_compressed(npz, **content, evaluations=samples.evaluations)


def summary(samples: Samples, output: pathlib.Path) -> str:
    """What was made and where, in two lines."""
    num, calls = len(samples.values), samples.evaluations
    spread = (
        f"{calls.mean():.0f}"
        if calls.min() == calls.max()
        else (f"{calls.mean():.0f} ({calls.min()}–{calls.max()})")
    )
    rate = num / max(samples.seconds, math.ulp(1.0))
    late = 0 if samples.finished is None else int(np.sum(~samples.finished))
    unfinished = f"; {late} have not reached the end: see `finished`" if late else ""
    return (
        f"{num} samples in {samples.seconds:.1f} s ({rate:.1f}/s), "
        f"{spread} network evaluations each{unfinished}\n"
        f"{', '.join(map(str, outputs(output)))}"
    )
