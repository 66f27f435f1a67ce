"""The mixture on which solvers are measured: fixed latents, and where the flow carries them."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import samplers
from samplers import Solver
from sde_lib import SDE, GaussianMixture, Model, sdes

FILE = pathlib.Path(__file__).parents[1] / "tests" / "golden" / "mixture8.npz"
MAX_SIGMA = 80.0
"""σ/α at the start."""


class Mixture8:
    """512 latents in 8 dimensions, α = 1, float64.

    The end points are the flow's at σ = 10⁻⁴, denoised there, to 1e-10. The error is
    |x − end point|: its median and its root mean square over all coordinates.
    """

    def __init__(self, file: pathlib.Path = FILE):
        data = {name: np.asarray(array, float) for name, array in np.load(file).items()}
        self.weights, self.means, self.stds = data["weights"], data["means"], data["stds"]
        self.latents, self.endpoints = data["latents"], data["endpoints"]
        mean = self.weights @ self.means
        within = self.weights @ self.stds**2
        self.data_std = float(np.sqrt((self.weights @ (self.means - mean) ** 2).mean() + within))

    def sde(self, least: float) -> SDE:
        """With the grid's end at σ = `least`."""
        return sdes["linear_ve"](sigma_min=least, sigma_max=MAX_SIGMA)

    def model(self, sde: SDE) -> Model:
        """The closed form."""
        oracle = GaussianMixture(
            weights=jnp.asarray(self.weights),
            means=jnp.asarray(self.means),
            stds=jnp.asarray(self.stds),
        )
        return oracle.model(sde)

    def error(self, x: Array | np.ndarray) -> tuple[float, float]:
        """Median and root mean square."""
        off = np.abs(np.asarray(x) - self.endpoints)
        return float(np.median(off)), float(np.sqrt(np.mean(off**2)))

    def solve(self, solver: Solver, grid: str, calls: int, least: float = 1e-4) -> tuple:
        """The error with so many evaluations, the last of them denoising."""
        sde = self.sde(least)
        steps = (calls - 1) // solver.evaluations
        scale = getattr(solver, "s", self.data_std)
        fields = {"data_std": scale} if grid in ("rectified", "cosine") else {}
        times = samplers.grids[grid](sde, steps, 0.0, **fields)
        start = MAX_SIGMA * jnp.asarray(self.latents)
        return self.error(_run(sde, self.model(sde), start, solver, times))


@jax.jit
def _run(sde: SDE, model: Model, x: Array, solver: Solver, grid: Array) -> Array:
    sampler = samplers.GridSampler(solver=solver, grid=grid, denoise=True)
    return sampler.integrate(lambda stream, number: jnp.zeros_like(x), sde, model, x).x
