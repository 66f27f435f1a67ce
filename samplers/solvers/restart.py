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
    """A solver whose steps start at more noise than the ones before have ended at.

    Every method but `steps` is that of the solver it wraps.

    Args:
      solver: the method that moves down, without memory of earlier steps.
    """

    solver: Solver = Heun()

    @property
    def evaluations(self) -> int:
        """Those of the solver."""
        return self.solver.evaluations

    @property
    def renoises(self) -> bool:
        """Always: noise is added between the steps."""
        return True

    @property
    def carries_moves(self) -> bool:
        """What the solver does."""
        return self.solver.carries_moves

    @abc.abstractmethod
    def steps(self, sde: SDE, grid: Array) -> Steps:
        """The steps on a grid, some of which start above the end of the one before."""

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """The plan of the solver for these steps.

        Raises:
          ValueError: the solver remembers earlier steps, which a step that starts higher up than
            the last has ended does not continue.
        """
        if self.solver.remembers:
            name = type(self.solver).__name__
            raise ValueError(f"solver: got {name}, takes a method without memory of earlier steps")
        return self.solver.plan(sde, steps)

    def init(self, x: Array) -> Any:
        """What the solver does."""
        return self.solver.init(x)

    def settle(
        self, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> tuple[Array, Any]:
        """What the solver does."""
        return self.solver.settle(prediction, x, coefficients, state)

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """What the solver does."""
        return self.solver.update(draw, prediction, x, coefficients, state)

    def update_moved(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: Any, state: Any
    ) -> Update:
        """What the solver does."""
        return self.solver.update_moved(draw, prediction, x, coefficients, state)


@solvers.register("churn")
class Churn(Renoising):
    """EDM's stochastic sampler: noise is added before every step; eq. 1 of `restart`.

    A step of N from n = σ/α to n', with z ~ N(0, I); of weak order 1 with inflation 1:

        γ = min(churn / N, sqrt(2) - 1) if low <= n <= high else 0
        x = x + inflation * sqrt((1 + γ)**2 - 1) * n * z       # of an SDE with α = 1
        x = solver's step from (1 + γ) * n to n'

    Args:
      churn: S_churn, how much noise all steps together add.
      low, high: S_min and S_max, in n.
      inflation: S_noise, factor of the standard deviation of what is added.

    The defaults are those of Karras et al. 2022, Table 5, for ImageNet at 64 pixels.
    """

    reference = "Karras et al. 2022, EDM"
    grid = "edm"

    churn: Array | float = number(default=40.0, low=0)
    low: Array | float = number(default=0.05, low=0)
    high: Array | float = number(default=50.0, low=0, infinite=True)
    inflation: Array | float = number(default=1.003, above=0)

    def steps(self, sde: SDE, grid: Array) -> Steps:
        """The steps of the grid, started at (1 + γ) n; the first not before t = 1."""
        start, end = grid[:-1], grid[1:]
        n = sde.noise_to_signal(start)
        gamma = jnp.minimum(self.churn / len(start), 2**0.5 - 1)
        gamma = jnp.where((n >= self.low) & (n <= self.high), gamma, 0.0)
        raised = sde.time_of_noise_to_signal(n * (1 + gamma))
        return Steps(jnp.where(gamma > 0, raised, start), end, self.inflation)


_RHO = 7
"""The exponent of eq. 2, that of EDM's grid (Karras et al. 2022, eq. 5)."""


@solvers.register("restart")
class Restart(Renoising):
    """Restart: an interval of noise levels is gone through again and again; eq. 2 of `restart`.

    After the step of the grid that ends at n ≤ low:

        for _ in range(repeats):
            x = x + sqrt(high**2 - n**2) * z                   # of an SDE with α = 1
            x = solver's num_steps steps from high to n, uniform in n^(1/7)

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
        """Check all fields.

        Raises:
          ValueError: one is out of range, or low is not less than high.
        """
        super().validate()
        if not self.low < self.high:
            raise ValueError(f"low: got {self.low}, takes a number < high = {self.high}")

    def steps(self, sde: SDE, grid: Array) -> Steps:
        """The steps of the grid, with the repeats after the one that crosses `low`."""
        last = len(grid) - 2
        levels = sde.noise_to_signal(grid)
        # The first step that ends at or below `low`.
        crossing = jnp.minimum(jnp.sum(levels[1:] > self.low), last)
        bottom = grid[crossing + 1]
        roots = jnp.linspace(
            self.high ** (1 / _RHO), levels[crossing + 1] ** (1 / _RHO), self.num_steps + 1
        )
        down = sde.time_of_noise_to_signal(roots**_RHO).at[-1].set(bottom)
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
