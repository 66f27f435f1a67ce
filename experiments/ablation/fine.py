"""How far deterministic samples are from the exact solution of their ODE.

    error = √ mean_i ‖x_i − x*_i‖² / D,

x_i the samples and x*_i the probability flow from the same latents, of the same model, to the same
t_min, by a Runge–Kutta pair of order 8 at a tolerance of 1e-6: float32 has no more digits. A solver
that draws noise has no such error.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.builders.method import GridMethod, SamplingMethod
from experiments.builders.sampling import OWN_STEPS, method_of
from experiments.evaluation.estimate import Estimate
from experiments.runtime import seeds
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.results import as_json, resumed
from experiments.workdir.trained_model import TrainedModel
from samplers import noise
from sde_lib import Condition

_FINE: dict[str, Any] = {
    "solver": "probability_flow",
    "corrector": "none",
    "tableau": "dop853",
    "rtol": 1e-6,
    "atol": 1e-6,
    "log_prob": False,
}


def is_deterministic(trained: TrainedModel) -> bool:
    """Whether the samples of an experiment follow from their latents alone."""
    method = method_of(trained.experiment, trained.sde, trained.workdir.grids)
    if isinstance(method, GridMethod):
        solver = method.solver
        drawn = solver.draws or solver.renoises or not solver.evaluations
        return not drawn and trained.experiment.sampling.corrector == "none"
    return OWN_STEPS["probability_flow"] is type(method)


def error(
    trained: TrainedModel, x: np.ndarray, seed: int, cond: Condition | None, folder: pathlib.Path
) -> Estimate:
    """The error of samples, with its standard error over them.

    Args:
      trained: the model and how they were drawn.
      x: the samples [N, ...] in model units.
      seed: of their latents.
      cond: what they are conditioned on.
      folder: where fine solutions are kept.
    """
    fine = _fine(trained, len(x), seed, cond, folder)
    squares = np.mean((x - fine).reshape(len(x), -1).astype(np.float64) ** 2, axis=1)
    rms = math.sqrt(squares.mean())
    if len(x) == 1 or rms == 0:
        return Estimate(rms)
    # By the delta method: d√m = dm / 2√m.
    return Estimate(rms, float(squares.std(ddof=1)) / math.sqrt(len(x)) / (2 * rms))


def _fine(
    trained: TrainedModel, num: int, seed: int, cond: Condition | None, folder: pathlib.Path
) -> np.ndarray:
    """The fine solution [num, ...] of the latents of a seed; computed once, and kept."""
    start = _start(method_of(trained.experiment, trained.sde, trained.workdir.grids))
    asked = trained.experiment.sampling
    # Samples that come with their densities are not denoised.
    denoise = asked.denoise and not asked.log_prob
    sampling = dataclasses.replace(asked, denoise=denoise, **_FINE)
    experiment = dataclasses.replace(trained.experiment, sampling=sampling)
    sampler = BatchedSampler.of(dataclasses.replace(trained, experiment=experiment))
    facts = [trained.protocol, sampler.protocol(), start, num, seed]
    text = json.dumps(as_json({"facts": facts}), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]

    def solve() -> dict[str, np.ndarray]:
        shape = trained.train.shape
        latents = noise.latents(seeds.key_of(seed), jnp.arange(num), shape)
        drawn = sampler.draw(num, seed, latents=np.asarray(latents) * np.float32(start), cond=cond)
        return {"x": np.asarray(drawn.x)}

    folder.mkdir(parents=True, exist_ok=True)
    return resumed(folder / f"{digest}.npz", solve)["x"]


def _start(method: SamplingMethod) -> float:
    """What multiplies the flow's first states: a grid's have √(α²s² + σ²) for the prior's σ."""
    if not isinstance(method, GridMethod):
        return 1.0
    t, s, sde = method.sampler.grid[0], method.experiment.data.std, method.sde
    deviation = jnp.sqrt((sde.alpha(t) * s) ** 2 + sde.sigma(t) ** 2)
    return float(deviation / sde.prior_std())
