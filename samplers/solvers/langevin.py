"""Langevin correctors: steps towards p_t at a fixed time.

    mean = x + ε score,    x' = mean + √(2ε) z,   z ~ N(0, I)                     (1)

    Langevin            ε = 2 a (r σ_t)² (K + D)/(K + ‖σ_t score‖²),   K = 128    (2)
    annealed Langevin   ε = 2 a (r σ_t)²                                          (3)
    published           ε = 2 a (r ‖z‖/‖score‖)², mean norms over the batch       (4)

What r, the `snr`, means: in many dimensions (2) is ε = 2 a r² D/‖score‖², so the move along the
score has √a · r times the norm of the noise's, √(2ε) z. It is the size of the score's move relative
to the noise's. r → 0 moves nothing; published values are 0.16 (CIFAR-10, VE) down to 0.075 (256
pixels).

Why K: steps with ε(x) have a law ∝ p/ε, not p, so ε must hardly depend on x. Under (4) with one
example the variance is off by 4/D of itself, half of it by ‖z‖, and where ‖score‖ = 0 is likely, at
D ≤ 2, the step has no mean. Given the data, though, σ_t² E‖score‖² = D exactly. (2) counts K such
unit squares with the D predicted ones, so that the variance is off by 2/(K + D) at most, and no
step is longer than 1 + D/K times that of (3).

(2) is of one example, so a sample does not depend on its batch. `norm="batch"` is (4), as the
reference does; it takes K numbers in a batch or more, for the same reason.

Reference: Song et al. 2021, Algorithms 4 and 5 (4, 3).
"""

import abc
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from samplers.solvers.predictors import kernel
from samplers.solvers.solver import Corrector, Draw, Steps, correctors
from sde_lib import SDE, Prediction, expand, number, static


class Scales(NamedTuple):
    """What a correction needs to know of its time.

    Args:
      scale: a, from the forward kernel of the step that starts there.
      sigma: σ_t.
    """

    scale: Float[Array, "*steps"]
    sigma: Float[Array, "*steps"]


class _Langevin(Corrector):
    """Langevin steps with the step size left open, eq. 1 of `langevin`.

    A correction at t:

        ε = step_size(z, noise)
        mean = x + ε * score
        x = mean + sqrt(2 * ε) * z

    Args:
      snr: r > 0.
      num_steps: corrections before each step of the solver.
      discretization: where a comes from, as for the predictors: "exact" or "published".
    """

    snr: float = number(default=0.16, above=0)
    num_steps: int = static(default=1, low=1)
    discretization: str = static(default="exact", choices=("exact", "published"))

    def plan(self, sde: SDE, steps: Steps) -> Scales:
        """a and σ_t at the start of each step."""

        def one(t: Array, s: Array) -> Scales:
            step = kernel(sde, s, t, len(steps.start), self.discretization)
            return Scales(step.alpha**2, sde.sigma(t))

        return jax.vmap(one)(steps.start, steps.end)

    @abc.abstractmethod
    def step_size(self, z: Array, noise: Array, scales: Scales) -> Array:
        """The step size ε.

        Args:
          z: the noise of the step, [B, ...].
          noise: the predicted noise −σ_t score, [B, ...].
          scales: of the time.

        Returns:
          ε, a scalar or [B].
        """

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Scales
    ) -> tuple[Array, Array]:
        """One correction, eq. 1."""
        z = draw()
        score = -prediction.noise / coefficients.sigma
        size = expand(self.step_size(z, prediction.noise, coefficients), x)
        mean = x + size * score
        return mean + jnp.sqrt(2 * size) * z, mean


@correctors.register("langevin")
class Langevin(_Langevin):
    """Langevin steps as long as the size of the score allows, eq. 2 or 4 of `langevin`.

    Args:
      norm: of what the size is taken, "example" (2) or "batch" (4).
    """

    norm: str = static(default="example", choices=("example", "batch"))

    def step_size(self, z: Array, noise: Array, scales: Scales) -> Array:
        """ε of eq. 2 or 4.

        Raises:
          ValueError: the batch is too small for norms of the batch.
        """
        unit = 2 * scales.scale * (self.snr * scales.sigma) ** 2
        if self.norm == "batch":
            if z.size < _UNITS:
                raise ValueError(
                    f"norm: got 'batch' with {z.size} numbers in a batch, takes {_UNITS} or more"
                )
            return unit * (jnp.mean(_norm(z)) / jnp.mean(_norm(noise))) ** 2
        return unit * (_UNITS + math.prod(z.shape[1:])) / (_UNITS + _norm(noise) ** 2)


@correctors.register("annealed_langevin")
class AnnealedLangevin(_Langevin):
    """Langevin steps in proportion to the noise level, eq. 3 of `langevin`."""

    def step_size(self, z: Array, noise: Array, scales: Scales) -> Array:
        """ε of eq. 3."""
        return 2 * scales.scale * (self.snr * scales.sigma) ** 2


_UNITS = 128
"""K of eq. 2, by its bound: the variance is off by 2/K = 1.6 % at most, at D → 0."""


def _norm(x: Array) -> Array:
    """The Euclidean norm of each example. [B, ...] → [B]."""
    return jnp.sqrt(jnp.sum(x**2, axis=tuple(range(1, x.ndim))))
