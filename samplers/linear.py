"""Solvers that are linear in what they know: a table of coefficients, one row an evaluation.

A solver of an affine SDE knows the state x at which the network was evaluated, the state b at which
its step began, and directions d_0, d_1, … of this and of earlier evaluations. After each,

    d_0 = a_d data + a_ε noise                                                    (1)
    b'  = β_x x + β_b b + Σ_j β_j d_j                                             (2)
    x'  = γ_b b' + Σ_j γ_j d_j + c z,   z ~ N(0, I)                               (3)

One-step and multistep methods have b' = x; the stages of a Runge–Kutta method keep b' = b; and
where (2) has d_0 it is a corrector, whose evaluation serves the next prediction (3) as well.
"""

import abc
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.solver import Draw, Solver, Update
from sde_lib import Prediction


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

    def init(self, x: Array) -> tuple[Array, tuple]:
        """b and the directions; no row uses one that is not there yet."""
        return x, (jnp.zeros_like(x),) * self.memory

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Row, state: Any
    ) -> Update:
        """Eq. 1 to 3."""
        row, (base, directions) = coefficients, state
        direction = _sum(row.direction, prediction)
        directions = (direction, *directions)[: self.memory]
        base = _sum(row.base, (x, base, *directions))
        mean = _sum(row.next, (base, *directions))
        x = mean + row.std * draw() if self.draws else mean
        return Update(x, mean, (base, directions))


def _sum(weights: Array, parts: tuple) -> Array:
    """Σ_i w_i p_i; a part of no weight counts for nothing, even if it is not finite."""
    terms = [jnp.where(w == 0, 0.0, w * p) for w, p in zip(weights, parts, strict=True)]
    return functools.reduce(jnp.add, terms)


def stack(rows: list[list[Row]]) -> Row:
    """[N, e, ...] leaves from a list of steps, each a list of evaluations."""
    return jax.tree.map(
        lambda *leaves: jnp.stack(leaves).reshape(len(rows), len(rows[0]), *leaves[0].shape),
        *[row for step in rows for row in step],
    )
