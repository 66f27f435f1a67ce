"""The sliced Wasserstein distance: how far mass has to be moved, on average over directions.

On a line, two sets of n are matched in their order; along directions θ, uniform on the sphere,

    SW₂² = E_θ 1/n Σ_j (x_(j) − y_(j))²,    x_(1) ≤ x_(2) ≤ … the sorted θ·x                     (1)

Two finite sets of one law are not at 0: the floor is SW₂ of two sets of real examples, of the same
size n as those that are compared. All are against the same half of the reference.

An example changes SW₂² by its Kantorovich potential, averaged over directions,

    φ(x_(j)) = Σ_{i<j} (t_i + t_{i+1}) (x_(i+1) − x_(i)),    t_i = x_(i) − y_(i)                 (2)

so that √(var φ/n)/(2 SW₂) is the standard error of SW₂ over generated sets of this size.

References: Bonneel et al. 2015, §3 (1); del Barrio & Loubes 2019 (2).
"""

import dataclasses

import numpy as np
from scipy.special import ndtri

from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.intervals import LEVEL
from experiments.evaluation.metrics.metric import Metric, metrics
from experiments.evaluation.sets import Examples, Moments, blocks
from sde_lib import ranged

# Directions at a time: 25 MB of 50,000 examples.
_DIRECTIONS = 64


@metrics.register("sw2")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SlicedWasserstein(Metric):
    """The sliced Wasserstein-2 distance `sw2`, and what real examples have, `sw2_floor`.

    Args:
      projections: the number of directions.
    """

    projections: int = ranged(500, low=1)

    @property
    def least(self) -> int:
        """Two in each half of the reference."""
        return 4

    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """Both, of as many examples: no more than half of the reference."""
        assert isinstance(reference, Examples)
        num = min(generated.num, reference.num // 2)
        rng = np.random.default_rng(seed)
        ours = np.sort(rng.permutation(generated.num)[:num])
        halves = np.sort(rng.permutation(reference.num)[: 2 * num].reshape(2, num), axis=1)
        directions = rng.normal(size=(generated.dim, self.projections))
        directions /= np.linalg.norm(directions, axis=0)
        target = reference.features[halves[0]]
        details = {"examples": num, "projections": self.projections}
        sets = {"sw2": generated.features[ours], "sw2_floor": reference.features[halves[1]]}
        return {
            name: dataclasses.replace(sliced(x, target, directions), details=details)
            for name, x in sets.items()
        }


def sliced(x: np.ndarray, y: np.ndarray, directions: np.ndarray) -> Estimate:
    """SW₂ of two sets of features [n, D] along directions of length 1, [D, P]: eqs. 1, 2."""
    square, potential = 0.0, np.zeros(len(x))
    num_directions = directions.shape[1]
    for some in blocks(num_directions, _DIRECTIONS):
        along = x @ directions[:, some]
        order = np.argsort(along, axis=0)
        along = np.take_along_axis(along, order, axis=0)
        move = along - np.sort(y @ directions[:, some], axis=0)
        square += float(np.sum(move**2)) / len(x) / num_directions
        steps = (move[1:] + move[:-1]) * np.diff(along, axis=0)
        potentials = np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps, axis=0)])
        np.add.at(potential, order, potentials / num_directions)
    value = square**0.5
    if value == 0:
        return Estimate(value)
    error = float(potential.std(ddof=1)) / len(x) ** 0.5 / (2 * value)
    half = float(ndtri((1 + LEVEL) / 2)) * error
    return Estimate(value, error, value - half, value + half)
