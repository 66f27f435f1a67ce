"""Solvers that add noise on the way: EDM's churn, and Restart.

Both wrap a deterministic solver without memory of the steps before. Noise is added by the forward
kernel, from the time t at which a step has ended to the time t̂ > t at which the next one starts.

    churn     n̂ = (1 + γ) n before every step with n in [low, high], γ = min(churn/N, √2 − 1)   (1)
    Restart   after the step that crosses n = low, `repeats` times: up to n = high, and down again
              in `num_steps` steps uniform in n^{1/7}                              (2)

References: Karras et al. 2022 "EDM", Algorithm 2 (1); Xu et al. 2023 "Restart", Algorithm 1 (2).
"""

import abc
from typing import Any

import jax.numpy as jnp
from jax import Array

from samplers.solvers.runge_kutta import Heun
from samplers.solvers.solver import Draw, Plan, Solver, Steps, Update, solvers
from sde_lib import SDE, Prediction, number, static


class Renoising(Solver):
    """A solver whose steps start at more noise than they have ended at.

    Args:
      solver: what moves down.
    """

    solver: Solver = Heun()

    @property
    def evaluations(self) -> int:
        """As the solver."""
        return self.solver.evaluations

    @property
    def renoises(self) -> bool:
        """That is what it is for."""
        return True

    @abc.abstractmethod
    def steps(self, sde: SDE, grid: Array) -> Steps:
        """With starts above the ends before them."""

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """As the solver.

        Raises:
          ValueError: the solver remembers earlier steps, which a step that starts higher up than
            the last has ended does not continue.
        """
        if self.solver.remembers:
            name = type(self.solver).__name__
            raise ValueError(f"solver: got {name}, takes a method without memory of earlier steps")
        return self.solver.plan(sde, steps)

    def init(self, x: Array) -> Any:
        """As the solver."""
        return self.solver.init(x)

    def settle(
        self, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> tuple[Array, Any]:
        """As the solver."""
        return self.solver.settle(prediction, x, coefficients, state)

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """As the solver."""
        return self.solver.update(draw, prediction, x, coefficients, state)

    def update_moved(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """As the solver."""
        return self.solver.update_moved(draw, prediction, x, coefficients, state)


@solvers.register("churn")
class Churn(Renoising):
    """Eq. 1; weak order 1 if the noise is that of the SDE.

    Args:
      churn: S_churn.
      low, high: S_min and S_max, in n.
      inflation: S_noise.
    """

    reference = "Karras et al. 2022, EDM"
    grid = "edm"

    churn: Array | float = number(default=40.0, low=0)
    low: Array | float = number(default=0.05, low=0)
    high: Array | float = number(default=50.0, low=0, infinite=True)
    inflation: Array | float = number(default=1.003, above=0)

    def steps(self, sde: SDE, grid: Array) -> Steps:
        """Those of the grid, started earlier; the first not before t = 1."""
        start, end = grid[:-1], grid[1:]
        n = sde.noise_to_signal(start)
        gamma = jnp.minimum(self.churn / len(start), 2**0.5 - 1)
        gamma = jnp.where((n >= self.low) & (n <= self.high), gamma, 0.0)
        raised = sde.time_of_noise_to_signal(n * (1 + gamma))
        return Steps(jnp.where(gamma > 0, raised, start), end, self.inflation)


@solvers.register("restart")
class Restart(Renoising):
    """Eq. 2.

    Args:
      low, high: the ends of the interval, in n.
      repeats: how often it is gone through again.
      num_steps: steps each time.
    """

    reference = "Xu et al. 2023, Restart"
    grid = "edm"

    low: Array | float = number(default=0.1, above=0)
    high: Array | float = 1.0
    repeats: int = static(default=2, low=1)
    num_steps: int = static(default=4, low=1)

    @property
    def convergence_order(self) -> int:
        """0 in the grid's steps: the repeats err by what `num_steps` make of them."""
        return 0

    def validate(self) -> None:
        """Raises ValueError unless 0 < low < high, and repeats and num_steps are 1 or more."""
        super().validate()
        if not self.low < self.high:
            raise ValueError(f"low: got {self.low}, takes a number < high = {self.high}")

    def steps(self, sde: SDE, grid: Array) -> Steps:
        """Those of the grid, with the repeats after the one that crosses `low`."""
        last = len(grid) - 2
        levels = sde.noise_to_signal(grid)
        # The first step that ends at or below `low`.
        crossing = jnp.minimum(jnp.sum(levels[1:] > self.low), last)
        bottom = grid[crossing + 1]
        roots = jnp.linspace(
            self.high ** (1 / 7), levels[crossing + 1] ** (1 / 7), self.num_steps + 1
        )
        down = sde.time_of_noise_to_signal(roots**7).at[-1].set(bottom)
        number = jnp.arange(len(grid) - 1 + self.repeats * self.num_steps)
        again = number - crossing - 1
        inside = (again >= 0) & (again < self.repeats * self.num_steps)
        stage = again % self.num_steps
        step = jnp.clip(
            jnp.where(again < 0, number, again - self.repeats * self.num_steps + crossing + 1),
            0,
            last,
        )
        return Steps(
            jnp.where(inside, down[stage], grid[step]),
            jnp.where(inside, down[stage + 1], grid[step + 1]),
        )
