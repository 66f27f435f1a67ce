"""The command `sample`: from a workdir to images."""

import dataclasses
import math
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

import samplers
from experiments import build
from experiments.config import Experiment
from experiments.data import Dataset, to_levels
from experiments.devices import check_batch, replicated, sharded
from experiments.errors import UserError
from experiments.estimator import make_divergence
from experiments.pictures import image_grid, save_png, scatter
from samplers import RungeKutta, noise
from sde_lib import SDE, Model

_SHOWN = 100


@dataclasses.dataclass(frozen=True)
class Samples:
    """values: [N, ...] in model units. evaluations: network calls for each [N]. seconds: taken.

    log_prob, log_prob_error: of the states at t_min in nats, and its standard error through the
    probes [N], where asked for.
    """

    values: np.ndarray
    evaluations: np.ndarray
    seconds: float
    log_prob: np.ndarray | None = None
    log_prob_error: np.ndarray | None = None


class Sampler:
    """Draws any number of samples by batches; sample i depends on (seed, i) alone.

    Args:
      experiment: whose `sampling` section says how.
      sde: the SDE.
      model: the model.
      shape: of one example.
      mesh: the devices that share a batch.
    """

    def __init__(
        self, experiment: Experiment, sde: SDE, model: Model, shape: tuple[int, ...], mesh: Mesh
    ):
        self.config, self.sde, self.shape, self.mesh = experiment.sampling, sde, shape, mesh
        self.data_std, self.likelihood = experiment.data.std, experiment.likelihood
        self.model = jax.device_put(model, replicated(mesh))
        check_batch(mesh, self.config.batch_size, "sampling.batch_size")

    def draw(self, num: int, seed: int, *, progress: bool = False) -> Samples:
        """`num` samples; the last batch is filled up and cut.

        Raises:
          UserError: a sample is not finite.
        """
        start, size = time.perf_counter(), self.config.batch_size
        batches = []
        for first in range(0, num, size):
            indices = jax.device_put(jnp.arange(first, first + size), sharded(self.mesh))
            batches.append(jax.device_get(self._batch(jax.random.key(seed), indices, progress)))
        values, evaluations, *densities = (
            np.concatenate(parts)[:num] for parts in zip(*batches, strict=True)
        )
        finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        # A standard error is NaN for one probe, a density never.
        bad = int(np.sum(~(finite & np.isfinite(densities[0])))) if densities else np.sum(~finite)
        if bad:
            raise UserError(f"sampling: {bad} of {num} samples are not finite; takes more steps")
        seconds = time.perf_counter() - start
        return Samples(values, evaluations, seconds, *densities)

    def _batch(self, key: Array, indices: Array, progress: bool) -> tuple[Array, ...]:
        """Samples, evaluations and, where asked for, log-densities and their standard errors."""
        if self.config.solver == build.PROBABILITY_FLOW:
            return self._flow(key, indices)
        solver, corrector = build.solver(self.config), build.corrector(self.config)
        x = samplers.sample(
            key,
            self.sde,
            self.model,
            (len(indices), *self.shape),
            solver=solver,
            corrector=corrector,
            grid=build.grid(self.config, self.sde),
            indices=indices,
            denoise=self.config.denoise,
            progress=progress,
        )
        per_step = solver.evaluations + (corrector.num_steps if corrector else 0)
        total = self.config.num_steps * per_step + self.config.denoise
        return x, jnp.full(len(indices), total)

    def _flow(self, key: Array, indices: Array) -> tuple[Array, ...]:
        config = self.config
        latents = self.sde.prior_std() * _latents(key, indices, self.shape)
        options: dict[str, Any] = {
            "t_min": build.sampling_t_min(config, self.sde),
            "data_std": self.data_std,
            "integrator": RungeKutta(tableau=config.tableau, rtol=config.rtol, atol=config.atol),
        }
        if config.log_prob:
            # Probes of their own: the latents are drawn from the key itself.
            divergence = make_divergence(
                self.likelihood, jax.random.fold_in(key, 1), latents.shape, indices, None
            )
            known = samplers.decode_with_log_prob(
                self.sde, self.model, latents, divergence, **options
            )
            return known.x, known.evaluations, known.log_prob, known.standard_error
        flow = samplers.decode(self.sde, self.model, latents, denoise=config.denoise, **options)
        return flow.x, flow.evaluations


@jax.jit(static_argnames="shape")
def _latents(key: Array, indices: Array, shape: tuple[int, ...]) -> Array:
    """The same latents as `samplers.sample` starts from."""
    return noise.normal(noise.example_keys(key, indices), noise.LATENT, shape)


def picture(values: np.ndarray, experiment: Experiment, dataset: Dataset) -> np.ndarray:
    """Samples in model units as one picture uint8 [., ., 3]."""
    if dataset.levels is None:
        return scatter(values, reference=dataset.values[: len(values)])
    levels = np.asarray(to_levels(values, dataset.levels, bool(experiment.data.centered)))
    return image_grid(levels, dataset.levels)


def outputs(output: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """OUTPUT.png and OUTPUT.npz; OUTPUT may itself hold a dot, as in rtol0.001."""
    return output.with_name(output.name + ".png"), output.with_name(output.name + ".npz")


def describe(experiment: Experiment) -> str:
    """The sampler of an experiment in a few words fit for a file name."""
    config = experiment.sampling
    if config.solver == build.PROBABILITY_FLOW:
        return f"{config.solver}-rtol{config.rtol:g}" + "-log_prob" * config.log_prob
    corrector = "" if config.corrector == "none" else f"-{config.corrector}"
    return f"{config.solver}{corrector}-{config.num_steps}steps"


def save(samples: Samples, experiment: Experiment, dataset: Dataset, output: pathlib.Path) -> None:
    """Write OUTPUT.png, at most 100 images or all points, and OUTPUT.npz: all of them.

    The arrays: `images` uint8 grey levels [N, H, W, C] (or `points` float32 [N, D]), `evaluations`
    [N], and where asked for `log_prob` [N], in nats of the states in model units, with its standard
    error `log_prob_error`.
    """
    png, npz = outputs(output)
    shown = samples.values if dataset.levels is None else samples.values[:_SHOWN]
    save_png(png, picture(shown, experiment, dataset))
    if dataset.levels is None:
        content: dict[str, Any] = {"points": samples.values}
    else:
        levels = to_levels(samples.values, dataset.levels, bool(experiment.data.centered))
        content = {"images": np.asarray(levels), "levels": np.asarray(dataset.levels)}
    if samples.log_prob is not None:
        content["log_prob"] = samples.log_prob
        content["log_prob_error"] = samples.log_prob_error
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
    return (
        f"{num} samples in {samples.seconds:.1f} s ({rate:.1f}/s), "
        f"{spread} network evaluations each\n"
        f"{', '.join(map(str, outputs(output)))}"
    )
