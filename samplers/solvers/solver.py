"""What a solver and a corrector are.

The loop (`driver`) evaluates the network; a solver only says at which times, and updates the state
with what came out. So the loop has one iteration for each network evaluation, and the program holds
one copy of the network whatever the solver's order.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib import SDE, Prediction, Pytree, Registry, check_ranges

Draw = Callable[[], Array]
"""Standard normal noise of the state's shape, fresh for this update."""


class Steps(NamedTuple):
    """The times at which the steps start and end [N].

    A step may start at more noise than the one before has ended at: there the loop adds noise by
    the forward kernel, its standard deviation times `inflation`.
    """

    start: Array
    end: Array
    inflation: Array | float = 1.0

    @classmethod
    def of_grid(cls, grid: Array) -> "Steps":
        """From N + 1 decreasing times."""
        return cls(grid[:-1], grid[1:])

    def renoising(self, sde: SDE, first: Array) -> tuple[Array, Array]:
        """x ← a x + b z before each step, a and b [N], from the end of the one before it.

        Args:
          sde: the SDE.
          first: the time of the state before the first step.
        """
        before = jnp.concatenate([first[None], self.end[:-1]])
        kernel = jax.vmap(sde.transition)(before, self.start)
        renoised = self.start > before
        return (
            jnp.where(renoised, kernel.alpha, 1.0),
            jnp.where(renoised, self.inflation * jnp.sqrt(kernel.variance), 0.0),
        )


class Plan(NamedTuple):
    """What a solver needs to know of N steps, with e evaluations a step.

    times: where the network is evaluated, [N, e].
    coefficients: a pytree of [N, e, ...] leaves, one slice handed to each update.
    final_correction: the slice of an update after the last step, evaluated at its end; or None.
    """

    times: Array
    coefficients: Any
    final_correction: Any = None


class Update(NamedTuple):
    """The state after an update.

    x: [B, ...]. mean: x without the noise of the last step. state: what a multistep method keeps.
    """

    x: Array
    mean: Array
    state: Any


class Solver(Pytree, abc.ABC):
    """Moves the state down a grid of times."""

    reference: ClassVar[str] = ""
    """Where it is from, in a few words."""

    grid: ClassVar[str] = "uniform"
    """The grid that suits it, of `grids`."""

    usual_steps: ClassVar[int] = 50
    """How many steps a trained model usually wants of it."""

    def validate(self) -> None:
        """Check the fields; called where a config becomes a solver, never in a trace.

        Raises:
          ValueError: one is out of range.
        """
        check_ranges(self)

    @property
    def evaluations(self) -> int:
        """Network evaluations a step."""
        return 1

    @property
    def convergence_order(self) -> int:
        """Of convergence: of the state if no noise is drawn, of its law (weak) otherwise."""
        return 1

    @property
    def draws(self) -> bool:
        """Whether its steps add noise."""
        return True

    @property
    def renoises(self) -> bool:
        """Whether a step may start at more noise than the one before has ended at."""
        return False

    @property
    def remembers(self) -> bool:
        """Whether a step uses evaluations of earlier steps."""
        return False

    def steps(self, sde: SDE, grid: Array) -> Steps:
        """The steps on a grid [N + 1] of decreasing times."""
        del sde
        return Steps.of_grid(grid)

    @abc.abstractmethod
    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """Times and coefficients for the steps."""

    def init(self, x: Array) -> Any:
        """The state before the first step, given the latent x."""
        del x

    def settle(
        self, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> tuple[Array, Any]:
        """(x, state) once the step that ended at x knows the network's evaluation there.

        What an evaluation says of the step before it is said here, so that x is final before
        something else moves it.
        """
        del prediction, coefficients
        return x, state

    @abc.abstractmethod
    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """The update after the network's evaluation at x, where nothing has moved x before it."""

    def update_moved(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """The update after the network's evaluation at an x that was settled and then moved.

        A method that remembers earlier steps carries the move along; the others need not know.
        """
        return self.update(draw, prediction, x, coefficients, state)


class Corrector(Pytree, abc.ABC):
    """Moves the state towards p_t at one time t, before each step of the solver.

    Args:
      num_steps: corrections before each step of the solver, one evaluation each.
    """

    num_steps: int

    @abc.abstractmethod
    def plan(self, sde: SDE, steps: Steps) -> Any:
        """Coefficients for the steps: a pytree of [N, ...] leaves."""

    @abc.abstractmethod
    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any
    ) -> tuple[Array, Array]:
        """(x, x without its new noise) after the network's evaluation at x."""


solvers = Registry("solver", Solver)
correctors = Registry("corrector", Corrector)
