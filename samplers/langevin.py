"""Langevin correctors: steps towards p_t at a fixed time.

    mean = x + ε score,    x' = mean + √(2ε) z,   z ~ N(0, I)                     (1)

    Langevin            ε = 2 a (r ‖z‖/‖score‖)²                                  (2)
    annealed Langevin   ε = 2 a (r σ_t)²                                          (3)

What r, the `snr`, means: under (2) the move along the score has ‖ε score‖ = √a · r · ‖√(2ε) z‖. It
is the size of the score's move relative to the noise's. r → 0 moves nothing; published values are
0.16 (CIFAR-10, VE) down to 0.075 (256 pixels) for (2).

What a, the scale, is: α²_{t|s} of the step the corrector precedes, 1 for VE and 1 − β_i in DDPM's
table; it shortens the move where the forward step forgets much.

‖·‖ is of one example, so a sample does not depend on its batch. `norm="batch"` takes the mean norms
over the batch instead, as the reference does.

Reference: Song et al. 2021, Algorithms 4 and 5.
"""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.predictors import kernel
from samplers.solver import Corrector, Draw, Steps, correctors
from sde_lib import SDE, Prediction, expand, number, static


class Scales(NamedTuple):
    """a and σ_t for each step, [N]."""

    scale: Array
    sigma: Array


class _Langevin(Corrector):
    """Eq. 1 with the step size left open.

    Args:
      snr: r > 0.
      num_steps: corrections before each step of the solver.
      discretization: where a comes from, as for the predictors: "exact" or "published".
    """

    snr: float = number(default=0.16, above=0)
    num_steps: int = static(1, low=1)
    discretization: str = static("exact", choices=("exact", "published"))

    def plan(self, sde: SDE, steps: Steps) -> Scales:
        """a and σ_t at the start of each step."""

        def one(t: Array, s: Array) -> Scales:
            step = kernel(sde, s, t, len(steps.start), self.discretization)
            return Scales(step.alpha**2, sde.sigma(t))

        return jax.vmap(one)(steps.start, steps.end)

    @abc.abstractmethod
    def step_size(self, noise: Array, score: Array, scales: Scales) -> Array:
        """ε, a scalar or [B]. noise and score [B, ...]."""

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Scales
    ) -> tuple[Array, Array]:
        """Eq. 1."""
        noise = draw()
        score = -prediction.noise / coefficients.sigma
        size = expand(self.step_size(noise, score, coefficients), x)
        mean = x + size * score
        return mean + jnp.sqrt(2 * size) * noise, mean


@correctors.register("langevin")
class Langevin(_Langevin):
    """Eq. 2.

    Args:
      norm: "example" or "batch".
    """

    norm: str = static("example", choices=("example", "batch"))

    def step_size(self, noise: Array, score: Array, scales: Scales) -> Array:
        """2 a (r ‖z‖/‖score‖)².

        Raises:
          ValueError: `norm` is neither "example" nor "batch".
        """
        if self.norm not in ("example", "batch"):
            raise ValueError(f"norm: got {self.norm!r}, takes 'example' or 'batch'")
        norms = _norm(noise), _norm(score)
        if self.norm == "batch":
            norms = jnp.mean(norms[0]), jnp.mean(norms[1])
        return 2 * scales.scale * (self.snr * norms[0] / norms[1]) ** 2


@correctors.register("annealed_langevin")
class AnnealedLangevin(_Langevin):
    """Eq. 3."""

    def step_size(self, noise: Array, score: Array, scales: Scales) -> Array:
        """2 a (r σ_t)²."""
        return 2 * scales.scale * (self.snr * scales.sigma) ** 2


def _norm(x: Array) -> Array:
    """The Euclidean norm of each example. [B, ...] → [B]."""
    return jnp.sqrt(jnp.sum(x**2, axis=tuple(range(1, x.ndim))))
