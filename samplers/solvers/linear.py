"""Solvers that are linear in what they know: a table of coefficients, one row an evaluation.

A solver of an affine SDE knows the state x at which the network was evaluated, the state b at which
its step began, and directions d_0, d_1, … of this and of earlier evaluations. After each,

    d_0 = a_d data + a_ε noise                                                    (1)
    b'  = β_x x + β_b b + Σ_j β_j d_j                                             (2)
    x'  = γ_b b' + Σ_j γ_j d_j + c z,   z ~ N(0, I)                               (3)

One-step and multistep methods have b' = x; the stages of a Runge–Kutta method keep b' = b; and
where (2) has d_0 it is a corrector, whose evaluation serves the next prediction (3) as well.

Something else may move the state between (2) and (3), by an increment δ: a Langevin corrector, say.
Then the step starts from b' + δ, where the network is evaluated anew and gives d̃_0, and the
directions of earlier steps are taken along to the trajectory through it,

    b' ← b' + δ,   d_j ← d_j + d̃_0 − d_0,                                         (4)

which errs by δ times the change of ∂d/∂x over the steps that are remembered: of second order.
"""

import abc
import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from samplers.solvers.solver import Draw, Solver, Steps, Update
from sde_lib import SDE, Prediction


class Row(NamedTuple):
    """Eq. 1 to 3 for H directions: (a_d, a_ε), (β_x, β_b, β_0 …), (γ_b, γ_0 …) and c."""

    direction: Array
    base: Array
    next: Array
    std: Array


class LinearSolver(Solver):
    """A solver whose coefficients are `Row`s."""

    @property
    @abc.abstractmethod
    def memory(self) -> int:
        """H, how many directions it needs."""

    @property
    def draws(self) -> bool:
        """Whether c of eq. 3 may differ from 0."""
        return False

    @property
    def remembers(self) -> bool:
        """Whether there are more directions than a step evaluates."""
        return self.memory > self.evaluations

    def init(self, x: Array) -> tuple[Array, tuple]:
        """b and the directions; no row uses one that is not there yet."""
        return x, (jnp.zeros_like(x),) * self.memory

    def settle(
        self, prediction: Prediction, x: Array, coefficients: Row, state: Any
    ) -> tuple[Array, Any]:
        """Eq. 1 and 2."""
        row, (base, directions) = coefficients, state
        directions = (_sum(row.direction, prediction), *directions)[: self.memory]
        base = _sum(row.base, (x, base, *directions))
        return base, (base, directions)

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Row, state: Any
    ) -> Update:
        """Eq. 1 to 3."""
        _, state = self.settle(prediction, x, coefficients, state)
        return self._advance(draw, coefficients, state)

    def update_moved(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Row, state: Any
    ) -> Update:
        """Eq. 4 and 3."""
        _, directions = state
        change = _sum(coefficients.direction, prediction) - directions[0]
        return self._advance(draw, coefficients, (x, tuple(d + change for d in directions)))

    def _advance(self, draw: Draw, row: Row, state: Any) -> Update:
        """Eq. 3."""
        base, directions = state
        mean = _sum(row.next, (base, *directions))
        x = mean + row.std * draw() if self.draws else mean
        return Update(x, mean, state)


def _sum(weights: Array, parts: tuple) -> Array:
    """Σ_i w_i p_i; a part of no weight counts for nothing, even if it is not finite."""
    terms = [jnp.where(w == 0, 0.0, w * p) for w, p in zip(weights, parts, strict=True)]
    return functools.reduce(jnp.add, terms)


def ddim_step(sde: SDE, steps: Steps, memory: int) -> Array:
    """x' = (σ'/σ) x + (α' − σ'α/σ) data, [N, 1 + H]: finite wherever σ > 0."""
    ratio = sde.sigma(steps.end) / sde.sigma(steps.start)
    data = sde.alpha(steps.end) - ratio * sde.alpha(steps.start)
    return jnp.stack([ratio, data, *[jnp.zeros_like(ratio)] * (memory - 1)], axis=1)
