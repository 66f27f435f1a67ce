"""What a solver and a corrector are.

The loop (`driver`) evaluates the network; a solver only says at which times, and updates the state
with what came out. So the number of network evaluations is the number of turns of the loop, and the
program holds one copy of the network whatever the solver's order.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from jax import Array

from sde_lib import SDE, Prediction, Pytree, Registry

solvers = Registry("solver")
correctors = Registry("corrector")

Draw = Callable[[], Array]
"""Standard normal noise of the state's shape, fresh for this update."""


class Plan(NamedTuple):
    """What a solver needs to know of a grid of N steps, with e evaluations a step.

    times: where the network is evaluated, [N, e].
    coefficients: a pytree of [N, e, ...] leaves, one slice handed to each update.
    """

    times: Array
    coefficients: Any


class Update(NamedTuple):
    """The state after an update.

    x: [B, ...]. mean: x without the noise of the last step. state: what a multistep method keeps.
    """

    x: Array
    mean: Array
    state: Any


class Solver(Pytree, abc.ABC):
    """Moves the state down a grid of times."""

    evaluations: ClassVar[int] = 1
    """Network evaluations a step."""

    @abc.abstractmethod
    def plan(self, sde: SDE, grid: Array) -> Plan:
        """Times and coefficients for `grid` [N + 1]."""

    def init(self, x: Array) -> Any:
        """The state before the first step, given the latent x."""
        del x

    @abc.abstractmethod
    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """The update after the network's evaluation at x."""


class Corrector(Pytree, abc.ABC):
    """Moves the state towards p_t at one time t, before each step of the solver.

    Args:
      num_steps: corrections before each step of the solver, one evaluation each.
    """

    num_steps: int

    @abc.abstractmethod
    def plan(self, sde: SDE, grid: Array) -> Any:
        """Coefficients for `grid` [N + 1]: a pytree of [N, ...] leaves."""

    @abc.abstractmethod
    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any
    ) -> tuple[Array, Array]:
        """(x, x without its new noise) after the network's evaluation at x."""
