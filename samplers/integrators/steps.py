"""How long the steps of an integrator are: by a tolerance, or equal.

A method advances its state in iterations of one evaluation each. Steps say how often, from which
first step, and in which variable: by a tolerance in u itself, where each example's steps are its
own; equal ones in v, from 0 to N in steps of 1, with z = v/N and

    u = start + (end − start) (z − g sin(2πz)/2π),   du/dv = (end − start) (1 − g cos 2πz)/N,  (1)

denser at both ends by the factor 1/(1 − g). g = 0 suits densities of sharp components, whose flow
changes most in between; g = 0.8 is meant for networks, whose output varies with log σ/α up to both
ends.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from samplers.integrators.integrator import Field, Solution
from sde_lib import Pytree, expand, number, static

Iterate = Callable[[Array, Any], Any]
"""(number of the iteration, state) → the state after one evaluation for the whole batch."""

Solve = Callable[[Field, Any, Array, Array], Solution]
"""(field, y, start, end) → the solution, as of `Integrator.solve`."""


class ByTolerance(Pytree):
    """Steps as long as the estimate of their error allows, of each example's own.

    Args:
      rtol, atol: the tolerances of `step_control`, eq. 1.
      max_evaluations: iterations at most; see `Solution` for what would need more.
    """

    rtol: Array | float = number(default=1e-5, above=0)
    atol: Array | float = number(default=1e-5, above=0)
    max_evaluations: int = static(default=2000, low=1)

    def solve(self, method: Solve, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """The solution by a method, in u."""
        return method(field, y, start, end)

    def first(self, span: Array, parts: int, order: int) -> Array:
        """The first step h: it has the error rtol if (h parts/span)^order is its error.

        That is so where the solution changes on the scale of one of so many parts of the span.
        """
        return span / parts * jnp.asarray(self.rtol, dtype=float) ** (1 / order)

    def repeat(self, iterate: Iterate, state: Any, evaluations: int) -> Any:
        """The state after as many iterations as the slowest example takes; it holds a `step`."""
        del evaluations

        def goes_on(carry: tuple[Array, Any]) -> Array:
            iteration, state = carry
            return jnp.any(state.step.running) & (iteration < self.max_evaluations)

        def once(carry: tuple[Array, Any]) -> tuple[Array, Any]:
            iteration, state = carry
            return iteration + 1, iterate(iteration, state)

        return jax.lax.while_loop(goes_on, once, (jnp.zeros((), jnp.int32), state))[1]


class Equal(Pytree):
    """As many steps for every example, equal in v of the module's eq. 1, whatever their errors.

    Args:
      num: N.
      grading: g, 0 ≤ g < 1.
    """

    num: int = static(default=49, low=1)
    grading: Array | float = number(default=0.0, low=0, below=1)

    def solve(self, method: Solve, field: Field, y: Any, start: Array, end: Array) -> Solution:
        """The solution by a method, in v."""
        span = end - start

        def speed(v: Array) -> Array:
            """du/dv."""
            return span * (1 - self.grading * jnp.cos(2 * jnp.pi * v / self.num)) / self.num

        def in_v(v: Array, y: Any) -> Any:
            z = v / self.num
            bend = self.grading * jnp.sin(2 * jnp.pi * z) / (2 * jnp.pi)
            slope = field(jnp.where(v == self.num, end, start + span * (z - bend)), y)
            return jax.tree.map(lambda k: expand(speed(v), k) * k, slope)

        last = jnp.asarray(float(self.num))
        solution = method(in_v, y, jnp.zeros_like(last), last)
        return solution._replace(slope=jax.tree.map(lambda k: k / speed(last), solution.slope))

    def first(self, span: Array, parts: int, order: int) -> Array:
        """1, in v."""
        del parts, order
        return jnp.ones_like(span)

    def repeat(self, iterate: Iterate, state: Any, evaluations: int) -> Any:
        """The state after one iteration at the start and so many a step."""
        return jax.lax.fori_loop(0, 1 + self.num * evaluations, iterate, state)
