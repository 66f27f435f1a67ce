"""SA-Solver: a stochastic Adams method of the predicted data, predict–correct.

D of `data_exponential` is the Lagrange polynomial through the last predictions; the correction
includes the one at the end of the step, which serves the next step too. With η = 0 it is the
exponential Adams method of the data (`multistep`).

Reference: Xue et al. 2023 "SA-Solver", eq. 14 and 17, η = τ².
"""

import jax.numpy as jnp
from jax import Array

from samplers.solvers.data_exponential import Decay, History, interpolated
from samplers.solvers.linear import DATA, LinearSolver, Row, newest_first
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, static


@solvers.register("sa_solver")
class SASolver(LinearSolver):
    """SA-Solver: predict–correct Adams on the reverse-time SDE with any amount of noise.

    A step from λ to λ' = λ + h, with the weights of eq. 1 of `data_exponential`, D the polynomial
    through `order` predictions, or `corrector` ones:

        data = [prediction, *data]
        x = x + Σ_j (corrected[j] - predicted[j]) * data[j]      # the step before, its z as it was
        x = σ' / σ * exp(-η * h) * x + Σ_j predicted[j] * data[j]
        x = x + σ' * sqrt(1 - exp(-2 * η * h)) * z

    Args:
      order: how many predictions a step uses.
      eta: η, from the probability flow (0) to the reverse-time SDE (1) and more noise.
      corrector: how many predictions, the new one among them, correct a step once the network has
        been evaluated at its end; 0: none.
    """

    reference = "Xue et al. 2023, SA-Solver"
    grid = "log_snr"

    order: int = static(default=3, low=1, high=4)
    eta: float = static(default=1.0, low=0)
    corrector: int = static(default=3, choices=(0, 2, 3, 4))

    @property
    def memory(self) -> int:
        """As many as a correction uses or takes out: those of the step before, and the new one."""
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
        """One evaluation a step."""
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, self.eta)
        nodes = newest_first(history.start, self.memory)
        predicted = interpolated(nodes, jnp.minimum(history.length, self.order), history, decay)
        rows = Row.step(decay.x, predicted, direction=DATA, std=decay.std)
        if self.corrector:
            rows = rows.correcting(self._corrections(nodes, predicted, history, decay))
        return Plan.one_per_step(steps.start, rows)

    def _corrections(self, nodes: Array, predicted: Array, history: History, decay: Decay) -> Array:
        """`base` at the end of every step, [N, 2 + H]: eq. 17 less eq. 14, which has the same z."""
        # The value at the end of the step in front.
        nodes = jnp.concatenate([history.end[None], nodes[:-1]])
        count = jnp.where(history.length > 0, jnp.minimum(history.length + 1, self.corrector), 0)
        better = interpolated(nodes, count, history, decay)
        # What was d_{j−1} when the step was predicted is d_j now.
        worse = jnp.concatenate([jnp.zeros_like(predicted[:1]), predicted[:-1]])
        change = jnp.where(history.finite, better - worse, 0.0)
        hold = Row.hold(self.memory).base
        return hold + jnp.pad(change.T, ((0, 0), (2, 0)))
