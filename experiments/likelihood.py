"""The command `likelihood`: bits per dimension of a whole split, with its standard error.

A discrete image k has log P(k) ≥ E_u[log p(x)] + D log Δ, x = lo + (k + u) Δ with u uniform on the
unit cube and Δ the width of a grey level in model units. One u is drawn per image: the mean over
the split estimates this bound, and the spread over images contains that of u and of the probes.

Reference: Theis et al. 2016, §3.1.
"""

import dataclasses
import json
import math
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from tqdm import tqdm

import samplers
from experiments.config import Experiment
from experiments.data import Dataset, bits_per_dim, to_model
from experiments.devices import check_batch, replicated, sharded
from experiments.errors import UserError
from experiments.workdir import Workdir, write_atomically
from samplers import Divergence, Exact, Hutchinson, LogProb, noise
from sde_lib import SDE, Model


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """Of each example, [N]: its row in the split, bits/dim, and network evaluations."""

    index: np.ndarray
    bits_per_dim: np.ndarray
    evaluations: np.ndarray
    seconds: float

    @property
    def mean(self) -> float:
        """Bits/dim of the split."""
        return float(np.mean(self.bits_per_dim))

    @property
    def standard_error(self) -> float:
        """Of the mean, from the spread over examples; NaN for one example."""
        num = len(self.bits_per_dim)
        return float(np.std(self.bits_per_dim, ddof=1) / math.sqrt(num)) if num > 1 else math.nan


def evaluate(
    experiment: Experiment,
    sde: SDE,
    model: Model,
    dataset: Dataset,
    mesh: Mesh,
    *,
    seed: int,
    limit: int | None = None,
) -> Likelihood:
    """bits/dim of the first `limit` examples of a split, all by default; none is dropped.

    Example i depends on (seed, i) alone; the last batch is filled up and cut.

    Raises:
      UserError: a log-density is not finite.
    """
    size = experiment.likelihood.batch_size
    check_batch(mesh, size, "likelihood.batch_size")
    model = jax.device_put(model, replicated(mesh))
    num = dataset.num if limit is None else min(limit, dataset.num)
    start, bits, evaluations = time.perf_counter(), [], []
    bar = tqdm(total=num, unit="example", disable=None)
    with bar:
        for first in range(0, num, size):
            indices = np.arange(first, first + size)
            rows = dataset.values[np.minimum(indices, num - 1)]
            inputs = jax.device_put((rows, jnp.asarray(indices)), sharded(mesh))
            result = _batch(experiment, sde, model, dataset, jax.random.key(seed), *inputs)
            kept = min(size, num - first)
            bits.append(_bits(result.log_prob, experiment, dataset)[:kept])
            evaluations.append(np.asarray(result.evaluations)[:kept])
            bar.set_postfix_str(f"{np.mean(np.concatenate(bits)):.3f} bits/dim", refresh=False)
            bar.update(kept)
    bad = int(np.sum(~np.isfinite(np.concatenate(bits))))
    if bad:
        raise UserError(
            f"likelihood: {bad} of {num} log-densities are not finite; takes a larger "
            f"likelihood.rtol (now {experiment.likelihood.rtol:g}) and likelihood.atol"
        )
    return Likelihood(
        index=np.arange(num),
        bits_per_dim=np.concatenate(bits),
        evaluations=np.concatenate(evaluations),
        seconds=time.perf_counter() - start,
    )


def _batch(
    experiment: Experiment,
    sde: SDE,
    model: Model,
    dataset: Dataset,
    key: Array,
    rows: Array,
    indices: Array,
) -> LogProb:
    config = experiment.likelihood
    x, divergence = _inputs(experiment, dataset, key, rows, indices)
    return samplers.log_prob(
        sde,
        model,
        x,
        divergence,
        t_min=float(sde.time_of_noise_to_signal(config.noise_to_signal_min)),
        data_std=experiment.data.std,
        rtol=config.rtol,
        atol=config.atol,
        tableau=config.tableau,
    )


def _inputs(
    experiment: Experiment, dataset: Dataset, key: Array, rows: Array, indices: Array
) -> tuple[Array, Divergence]:
    """Dequantized examples in model units, and the divergence with their probes."""
    data_key, probe_key = jax.random.split(key)
    config = experiment.likelihood
    divergence: Divergence = Exact()
    if config.divergence == "hutchinson":
        divergence = Hutchinson.rademacher(probe_key, rows.shape, config.probes, indices)
    u = noise.uniform(noise.example_keys(data_key, indices), 0, rows.shape[1:])
    return to_model(rows, dataset.levels, bool(experiment.data.centered), u), divergence


def _bits(log_prob: Array, experiment: Experiment, dataset: Dataset) -> np.ndarray:
    centered = bool(experiment.data.centered)
    return np.asarray(bits_per_dim(log_prob, math.prod(dataset.shape), dataset.levels, centered))


def save(result: Likelihood, experiment: Experiment, workdir: Workdir, name: str) -> None:
    """Write likelihood/NAME.npz, per example, and NAME.json, the number with its protocol."""
    folder = workdir.folder("likelihood")
    np.savez_compressed(
        folder / f"{name}.npz",
        index=result.index,
        bits_per_dim=result.bits_per_dim,
        evaluations=result.evaluations,
    )
    report = {
        "bits_per_dim": result.mean,
        # One example has no spread, and JSON no NaN.
        "standard_error": result.standard_error if len(result.index) > 1 else None,
        "examples": len(result.index),
        "evaluations_mean": float(result.evaluations.mean()),
        "evaluations_max": int(result.evaluations.max()),
        "seconds": round(result.seconds, 2),
        "dequantization": "uniform, one draw an example",
        "protocol": dataclasses.asdict(experiment.likelihood),
    }
    write_atomically(folder / f"{name}.json", json.dumps(report, indent=2) + "\n")


def summary(result: Likelihood, split: str, output: pathlib.Path) -> str:
    """The number, its protocol in short, and where it was written, in two lines."""
    calls = result.evaluations
    return (
        f"{split} split, {len(result.index)} examples: {result.mean:.4f} ± "
        f"{result.standard_error:.4f} bits/dim (standard error), {calls.mean():.0f} network "
        f"evaluations each ({calls.max()} at most), {result.seconds:.1f} s\n"
        f"{output.with_suffix('.json')}, {output.with_suffix('.npz')}"
    )
