"""Solvers on a trained network: distance to the fine solution, and of samples to the data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import samplers
from experiments.runtime import devices
from experiments.workdir.trained_model import TrainedModel
from samplers import Adams, ByTolerance, Solver

BUDGETS = (6, 10, 15, 20, 30, 50)
_NUM = 1000


def on_a_network(workdir: str, contenders: Any) -> dict[str, Any]:
    """[RMS distance to the fine solution, Fréchet distance to the data] at every budget.

    Args:
      workdir: a trained model of images.
      contenders: data's deviation → name → (solver, grid).
    """
    opened = TrainedModel.open(workdir, [], devices.make_mesh(1))
    train, sde, model = opened.dataset("train"), opened.sde, opened.model
    std, codec = opened.experiment.data.std, train.codec
    z = jax.random.normal(jax.random.key(0), (_NUM, *train.shape))
    t_min = float(sde.time_of_noise_to_signal(1e-2))
    flow = samplers.ProbabilityFlow(
        sde=sde,
        model=model,
        t_min=t_min,
        data_std=std,
        integrator=Adams(steps=ByTolerance(rtol=1e-5, atol=1e-5)),
    )
    assert codec.levels is not None
    white = codec.levels - 1
    real = np.asarray(train.values, float) / white
    fine = flow.decode(sde.prior_std() * z, denoise=True).x

    def distance(x: Any) -> float:
        """Of grey levels, as fractions of white."""
        return frechet(np.asarray(codec.decode(x), float) / white, real)

    def measure(solver: Solver, grid: str, calls: int) -> list[float]:
        fields = {"data_std": std} if grid in ("rectified", "cosine") else {}
        times = samplers.grids[grid](sde, (calls - 1) // solver.evaluations, t_min, **fields)
        sampler = samplers.GridSampler(solver=solver, grid=times, denoise=True)
        x = sampler.draw(jax.random.key(0), sde, model, z.shape, latents=z).x
        return [float(jnp.sqrt(jnp.mean((x - fine) ** 2))), distance(x)]

    half = len(train.values) // 2
    result: dict[str, Any] = {
        "fine": distance(fine),
        "real halves": frechet(real[:half], real[half:]),
        "solvers": {},
    }
    for name, (solver, grid) in contenders(std).items():
        curve = [
            (calls, *measure(solver, grid, calls))
            for calls in BUDGETS
            if calls > solver.evaluations
        ]
        result["solvers"][name] = curve
        print(name, [tuple(float(f"{v:.3g}") for v in point) for point in curve])
    return result


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½) of images as vectors.

    Reference: Dowson & Landau 1982.
    """
    a, b = (images.reshape(len(images), -1) for images in (a, b))
    covariances = np.cov(a.T), np.cov(b.T)
    # The eigenvalues of a product of positive matrices are real and not negative.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0))
    gap = np.sum((a.mean(0) - b.mean(0)) ** 2)
    return float(gap + sum(np.trace(c) for c in covariances) - 2 * roots.sum())
