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

    b' ← b' + δ,   d_0 ← d̃_0,   d_j ← d_j + d̃_0 − d_0,                            (4)

which errs by δ times the change of ∂d/∂x over the steps that are remembered: of second order.
"""

import abc
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from samplers.solvers.solver import Draw, Solver, Steps, Update
from sde_lib import SDE, Prediction

DATA, NOISE = (1.0, 0.0), (0.0, 1.0)
"""(a_d, a_ε) of eq. 1 if the direction is the predicted data, or the predicted noise."""


class Row(NamedTuple):
    """The coefficients of one update with H directions, eq. 1 to 3; or of many, along leading axes.

    Args:
      direction: (a_d, a_ε), what d_0 is.
      base: (β_x, β_b, β_0 … β_{H−1}), what b' is.
      next: (γ_b, γ_0 … γ_{H−1}), what x' is.
      std: c, of the noise in x'.
    """

    direction: Float[Array, "*rows 2"]
    base: Float[Array, "*rows bases_and_directions"]
    next: Float[Array, "*rows base_and_directions"]
    std: Float[Array, "*rows"]

    @classmethod
    def step(
        cls,
        scale: Float[Array, "*rows"],
        weights: Float[Array, "directions *rows"],
        *,
        direction: Array | tuple[float, float],
        base: Array | None = None,
        std: Array | float = 0.0,
    ) -> "Row":
        """x' = scale b' + Σ_j weights_j d_j + std z.

        Args:
          scale, weights: γ_b and γ_j.
          direction: what d_0 is: `DATA`, `NOISE` or [..., 2].
          base: what b' is: by default x.
          std: c.
        """
        rows, memory = scale.shape, len(weights)
        base = jnp.eye(2 + memory)[0] if base is None else base
        return cls(
            direction=jnp.broadcast_to(jnp.asarray(direction), (*rows, 2)),
            base=jnp.broadcast_to(base, (*rows, 2 + memory)),
            next=jnp.moveaxis(jnp.concatenate([scale[None], weights]), 0, -1),
            std=jnp.broadcast_to(std, rows),
        )

    @classmethod
    def hold(cls, memory: int) -> "Row":
        """x' = b' = x: the state as it is, the data for d_0."""
        return cls.step(jnp.ones(()), jnp.zeros(memory), direction=DATA)

    @classmethod
    def ddim(cls, sde: SDE, steps: Steps, memory: int) -> "Row":
        """x' = (σ'/σ) x + (α' − σ'α/σ) data: of first order, and finite wherever σ > 0.

        Reference: Song et al. 2021 "DDIM", eq. 12 with η = 0.
        """
        ratio = sde.sigma(steps.end) / sde.sigma(steps.start)
        data = sde.alpha(steps.end) - ratio * sde.alpha(steps.start)
        weights = jnp.stack([data, *[jnp.zeros_like(data)] * (memory - 1)])
        return cls.step(ratio, weights, direction=DATA)

    @staticmethod
    def where(condition: Array, rows: "Row", others: "Row") -> "Row":
        """`rows` where the condition [...] holds, `others` elsewhere."""

        def choose(ours: Array, theirs: Array) -> Array:
            extra = (1,) * (theirs.ndim - condition.ndim)
            return jnp.where(condition.reshape(*condition.shape, *extra), ours, theirs)

        return jax.tree.map(choose, rows, others)

    def correcting(self, corrections: Float[Array, "steps bases_and_directions"]) -> "Row":
        """These rows, one a step, whose evaluation first corrects the step that ends at it.

        Args:
          corrections: `base` at the end of every step; the last is not for any of these rows.
        """
        memory = corrections.shape[-1] - 2
        return self._replace(base=jnp.concatenate([self.hold(memory).base[None], corrections[:-1]]))


def corrected(
    scale: Float[Array, "steps"], weights: Float[Array, "directions steps"]
) -> Float[Array, "steps bases_and_directions"]:
    """`base` of rows that take a step anew from its start: b' = scale b + Σ_j weights_j d_j."""
    return jnp.concatenate([jnp.zeros_like(scale)[None], scale[None], weights]).T


def stages(num: int, memory: int) -> Float[Array, "stages bases_and_directions"]:
    """`base` of the evaluations of one step that all set out from its start: x, then b."""
    return jnp.eye(2 + memory)[jnp.minimum(jnp.arange(num), 1)]


def newest_first(values: Float[Array, "steps"], num: int) -> Float[Array, "history steps"]:
    """At every step its value and those of the `num` − 1 steps before it.

    What would lie before the first step is no value: `finite_run` says how many are.
    """
    return jnp.stack([jnp.roll(values, j) for j in range(num)])


def finite_run(values: Float[Array, "steps"]) -> Int[Array, "steps"]:
    """How many finite values in a row end at each: 0 where it is not finite itself."""
    number = jnp.arange(len(values))
    last_other = jax.lax.cummax(jnp.where(jnp.isfinite(values), -1, number))
    return number - last_other


class LinearSolver(Solver):
    """A solver whose coefficients are `Row`s.

    A step, of the row of an evaluation (x the state there, b that at the step's start):

        d = [a_d * data + a_ε * noise, *d][:H]                                    # (1)
        b = β_x * x + β_b * b + Σ_j β_j * d[j]                                    # (2)
        x = γ_b * b + Σ_j γ_j * d[j] + c * z                                      # (3)
    """

    @property
    @abc.abstractmethod
    def memory(self) -> int:
        """H, the number of directions that a row has coefficients for."""

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
        """The new direction, and what it corrects of x: eq. 1 and 2."""
        row, (base, directions) = coefficients, state
        directions = (_sum(row.direction, prediction), *directions)[: self.memory]
        base = _sum(row.base, (x, base, *directions))
        return base, (base, directions)

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Row, state: Any
    ) -> Update:
        """The next state: eq. 1 to 3."""
        _, state = self.settle(prediction, x, coefficients, state)
        return self._advance(draw, coefficients, state)

    def update_moved(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Row, state: Any
    ) -> Update:
        """The next state from an x that was moved: eq. 4 and 3."""
        _, (before, *older) = state
        new = _sum(coefficients.direction, prediction)
        directions = (new, *(d + (new - before) for d in older))
        return self._advance(draw, coefficients, (x, directions))

    def _advance(self, draw: Draw, row: Row, state: Any) -> Update:
        """The next state from b' and the directions: eq. 3."""
        base, directions = state
        mean = _sum(row.next, (base, *directions))
        x = mean + row.std * draw() if self.draws else mean
        return Update(x, mean, state)


def _sum(weights: Array, parts: tuple) -> Array:
    """Σ_i w_i p_i; a part of no weight counts for nothing, even if it is not finite."""
    terms = [jnp.where(w == 0, 0.0, w * p) for w, p in zip(weights, parts, strict=True)]
    return functools.reduce(jnp.add, terms)
