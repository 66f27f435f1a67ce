"""SA-Solver: a stochastic Adams method of the predicted data, predict–correct.

D of `data_exponential` is the Lagrange polynomial through the last predictions; the correction
includes the one at the end of the step, which serves the next step too. With η = 0 it is the
exponential Adams method of the data (`multistep`).

Reference: Xue et al. 2023 "SA-Solver", eq. 14 and 17, η = τ².
"""

import jax.numpy as jnp
from jax import Array

from samplers.solvers.data_exponential import Decay, History, interpolated, plan_of
from samplers.solvers.linear import LinearSolver
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, static


@solvers.register("sa_solver")
class SASolver(LinearSolver):
    """Eq. 1 of `data_exponential` with D a polynomial through predictions.

    Args:
      order: how many predictions a step uses, 1 to 4.
      eta: η ≥ 0.
      corrector: how many predictions, the new one among them, correct a step once the network has
        been evaluated at its end, with the same z; 0: none.
    """

    reference = "Xue et al. 2023, SA-Solver"
    grid = "log_snr"

    order: int = static(default=3, low=1, high=4)
    eta: float = static(default=1.0, low=0)
    corrector: int = static(default=3, choices=(0, 2, 3, 4))

    @property
    def memory(self) -> int:
        """Of the predictions; a correction takes out what the last step made of the oldest."""
        return max(self.order + 1, self.corrector) if self.corrector else self.order

    @property
    def convergence_order(self) -> int:
        """As for `Multistep`; weakly 1 if noise is drawn."""
        if self.draws:
            return 1
        return min(self.order + 1, self.corrector) if self.corrector else self.order

    @property
    def draws(self) -> bool:
        """Unless η = 0."""
        return self.eta != 0

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """Eq. 1.

        Raises:
          ValueError: `order` or `corrector` is out of range.
        """
        if self.order not in (1, 2, 3, 4):
            raise ValueError(f"order: got {self.order}, takes 1 to 4")
        if self.corrector not in (0, 2, 3, 4):
            raise ValueError(f"corrector: got {self.corrector}, takes 0 or 2 to 4")
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, self.eta)
        nodes = jnp.stack([jnp.roll(history.start, j) for j in range(self.memory)])
        predicted = interpolated(nodes, jnp.minimum(history.known, self.order), history, decay)
        return plan_of(
            steps, self._corrections(nodes, predicted, history, decay), predicted.T, decay
        )

    def _corrections(self, nodes: Array, predicted: Array, history: History, decay: Decay) -> Array:
        """b' = x + the change of eq. 1, z included, that the new value makes. [N, 2 + H]."""
        keep = jnp.broadcast_to(jnp.eye(2 + self.memory)[0], (nodes.shape[1], 2 + self.memory))
        if not self.corrector:
            return keep
        # Of the step to follow, then of the step before.
        after = jnp.concatenate([history.end[None], nodes[: self.memory - 1]])
        counts = jnp.where(history.known > 0, jnp.minimum(history.known + 1, self.corrector), 0)
        better = interpolated(after, counts, history, decay)
        # What was d_{j−1} when the step was predicted is d_j now.
        worse = jnp.concatenate([jnp.zeros_like(predicted[:1]), predicted[:-1]])
        change = jnp.where(history.regular, better - worse, 0.0)
        change = jnp.roll(change, 1, axis=1).at[:, 0].set(0.0)
        return keep.at[:, 2:].set(change.T)
