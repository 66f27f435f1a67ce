"""What a solver and a corrector are.

The loop of `driver` evaluates the network; a solver only says at which times, and updates the state
with what came out. So the loop has one iteration for each network evaluation, and the program holds
one copy of the network whatever the solver's order.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from sde_lib import SDE, Prediction, Pytree, Registry, check_ranges

Draw = Callable[[], Array]
"""Standard normal noise of the state's shape, fresh for this update."""


class Steps(NamedTuple):
    """The times at which the N steps of a solver start and end.

    A step may start at more noise than the one before has ended at: there the loop adds noise by
    the forward kernel.

    Args:
      start, end: times; start > end but for steps of no length.
      inflation: factor of the standard deviation of the noise that is added.
    """

    start: Float[Array, "steps"]
    end: Float[Array, "steps"]
    inflation: Array | float = 1.0

    @classmethod
    def of_grid(cls, grid: Float[Array, "times"]) -> "Steps":
        """The steps between N + 1 decreasing times."""
        return cls(grid[:-1], grid[1:])

    def renoising(self, sde: SDE, first: Array) -> tuple[Array, Array]:
        """The noise that brings the state from the end of a step to the start of the next.

            x ← a x + b z,   z ~ N(0, I)

        Args:
          sde: the SDE.
          first: the time of the state before the first step, a scalar.

        Returns:
          a and b, [N]: 1 and 0 where a step starts at or below the end of the one before it.
        """
        before = jnp.concatenate([first[None], self.end[:-1]])
        kernel = jax.vmap(sde.transition)(before, self.start)
        renoised = self.start > before
        return (
            jnp.where(renoised, kernel.alpha, 1.0),
            jnp.where(renoised, self.inflation * jnp.sqrt(kernel.variance), 0.0),
        )


class Plan(NamedTuple):
    """When a solver wants the network evaluated in N steps, e times in each, and what follows.

    Args:
      times: of the evaluations, [N, e].
      coefficients: a pytree of [N, e, ...] leaves, one slice handed to each update.
      final_correction: the slice of an update after the last step, evaluated at its end; or None.
    """

    times: Float[Array, "steps evaluations"]
    coefficients: Any
    final_correction: Any = None

    @classmethod
    def one_per_step(
        cls, times: Float[Array, "steps"], coefficients: Any, final_correction: Any = None
    ) -> "Plan":
        """The plan of a solver with one evaluation a step.

        Args:
          times: of the evaluations.
          coefficients: a pytree of [N, ...] leaves.
          final_correction: as the field.
        """
        one = jax.tree.map(lambda leaf: leaf[:, None], coefficients)
        return cls(times[:, None], one, final_correction)


class Update(NamedTuple):
    """The state after an update.

    Args:
      x: [B, ...].
      mean: x without the noise that this update has drawn, [B, ...].
      state: what the solver keeps for its next updates.
    """

    x: Array
    mean: Array
    state: Any


class Solver(Pytree, abc.ABC):
    """A method that moves the state down a grid of times.

    A subclass says what its updates are: `plan` gives, for all steps at once, the times at which
    the network is evaluated and the coefficients of what follows each evaluation; `update` does it.
    Most are a `LinearSolver`; for a method of one evaluation a step, without memory, subclass
    `Predictor`.
    """

    reference: ClassVar[str] = ""
    """The paper it is from, in a few words."""

    grid: ClassVar[str] = "uniform"
    """The name, in `grids`, of the grid that suits it."""

    usual_steps: ClassVar[int] = 50
    """The number of steps that a trained model usually takes."""

    def validate(self) -> None:
        """Check all fields; called where a config becomes a solver, never in a trace.

        Raises:
          ValueError: one is out of range.
        """
        check_ranges(self)

    @property
    def evaluations(self) -> int:
        """Number of network evaluations per step."""
        return 1

    @property
    def convergence_order(self) -> int:
        """Order of convergence in the step: weak, of the law, if the solver draws noise."""
        return 1

    @property
    def draws(self) -> bool:
        """Whether its updates add noise."""
        return True

    @property
    def renoises(self) -> bool:
        """Whether a step may start at more noise than the one before has ended at."""
        return False

    @property
    def remembers(self) -> bool:
        """Whether a step uses evaluations of earlier steps."""
        return False

    @property
    def carries_moves(self) -> bool:
        """Whether it goes on from a state that a constraint has moved between its steps."""
        return True

    def steps(self, sde: SDE, grid: Array) -> Steps:
        """The steps on a grid of N + 1 decreasing times; more than N, if some go up again."""
        del sde
        return Steps.of_grid(grid)

    @abc.abstractmethod
    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """Times and coefficients of the evaluations in all steps.

        Raises:
          ValueError: the solver cannot take such steps, or a name among its fields is unknown.
        """

    def init(self, x: Array) -> Any:
        """What the solver keeps before its first step, which starts at x [B, ...]."""
        del x

    def settle(
        self, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> tuple[Array, Any]:
        """The end x of a step, corrected by the network's evaluation there.

        The driver calls it before anything but the solver moves x (a corrector, a constraint, the
        denoising).

        Returns:
          x and what the solver keeps. Methods that correct no step return both as they are.
        """
        del prediction, coefficients
        return x, state

    @abc.abstractmethod
    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """The update after the network's evaluation at x, which the last update has made.

        Args:
          draw: gives fresh standard normal noise of x's shape.
          prediction: the network's at x.
          x: the state, [B, ...].
          coefficients: the slice of the plan for this evaluation.
          state: what the last update returned.
        """

    def update_moved(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """The update after the network's evaluation at an x that was settled and then moved.

        Args as of `update`. A method that remembers earlier steps carries the move along; the
        others need not know.
        """
        return self.update(draw, prediction, x, coefficients, state)


class Corrector(Pytree, abc.ABC):
    """A method that moves the state towards p_t at a fixed time t, before each step of the solver.

    Args:
      num_steps: corrections before each step of the solver, one evaluation each.
    """

    num_steps: int

    @abc.abstractmethod
    def plan(self, sde: SDE, steps: Steps) -> Any:
        """Coefficients of the corrections before each step: a pytree of [N, ...] leaves."""

    @abc.abstractmethod
    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any
    ) -> tuple[Array, Array]:
        """The state after the network's evaluation at x.

        Args as of `Solver.update`, the coefficients those of one step.

        Returns:
          x, and x without its new noise, [B, ...].
        """


solvers = Registry("solver", Solver)
correctors = Registry("corrector", Corrector)
