"""UniPC: predict–correct in the data, with half weights where there is one difference.

In λ = log α/σ, with h = λ' − λ, D_i the prediction at λ_i, r_j = (λ_{i−j} − λ_i)/h and r_p = 1,

    predict   x' = (σ'/σ) x − α' φ_1 D_i − α' B Σ_{j<p} ρ_j (D_{i−j} − D_i)/r_j   (1)
    correct   the same with j = p, the value at the end, among the sum            (2)
    Σ_j ρ_j r_j^{k−1} = k! φ_{k+1}/B,   k = 1, 2, …                               (3)
    φ_1 = e^{−h} − 1,   φ_{k+1} = φ_k/(−h) − 1/k!

(3) says that polynomials are integrated exactly, so (1) and (2) have the weights of the exponential
Adams methods (`data_exponential.interpolated`), whatever B. It matters for one difference, where
ρ = 1/2 replaces (3): B is −h ("bh1") or φ_1 ("bh2"). The prediction of order p has p − 1
differences, the correction p and is of order p + 1. The last step has no correction unless it is
evaluated at its end. Where h is infinite the step is of first order.

Reference: Zhao et al. 2023 "UniPC", eq. 3, 8 and 9, App. B (data).
"""

import jax.numpy as jnp
from jax import Array

from samplers.solvers.data_exponential import Decay, History, interpolated
from samplers.solvers.linear import DATA, LinearSolver, Row, corrected, newest_first
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, static


@solvers.register("unipc")
class UniPC(LinearSolver):
    """UniPC: the unified predictor–corrector in the predicted data, one evaluation a step.

    A step from λ to λ' = λ + h, with the weights of eq. 1 to 3 of `unipc`:

        data = [prediction, *data]
        x = σ / σ_before * x_before + Σ_{j≤p} corrected[j] * data[j]     # (2), over the step before
        x_before = x
        x = σ' / σ * x + Σ_{j<p} predicted[j] * data[j]                  # (1), over this step

    Args:
      order: p, how many values the prediction uses.
      variant: B, "bh1" (−h) or "bh2" (e^{−h} − 1).
    """

    reference = "Zhao et al. 2023, UniPC"
    grid = "log_snr"

    order: int = static(default=3, low=1, high=3)
    variant: str = static(default="bh2", choices=("bh1", "bh2"))

    @property
    def memory(self) -> int:
        """p and the new one."""
        return self.order + 1

    @property
    def convergence_order(self) -> int:
        """p + 1."""
        return self.order + 1

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """One evaluation a step, and one at the end to correct the last."""
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, 0.0)
        nodes = newest_first(history.start, self.memory)
        count = jnp.minimum(history.length, self.order)
        weights = interpolated(nodes, count, history, decay)
        weights = self._halved(weights, count == 2, nodes[1], history, decay)
        rows = Row.step(decay.x, weights, direction=DATA)

        # The value at the end of the step in front: D_i is the second.
        nodes = jnp.concatenate([history.end[None], nodes[:-1]])
        weights = interpolated(nodes, count + 1, history, decay)
        weights = self._halved(weights, count == 1, nodes[0], history, decay, new_first=True)
        hold, usable = Row.hold(self.memory), history.finite & (history.length > 0)
        corrections = jnp.where(usable[:, None], corrected(decay.x, weights), hold.base)
        final = hold._replace(base=corrections[-1])
        return Plan.one_per_step(steps.start, rows.correcting(corrections), final)

    def _halved(
        self,
        weights: Array,
        one_difference: Array,
        node: Array,
        history: History,
        decay: Decay,
        *,
        new_first: bool = False,
    ) -> Array:
        """Weights [H, N], with ρ = 1/2 where D_i and the value at `node` are all that is known."""
        b = -history.h if self.variant == "bh1" else jnp.expm1(-history.h)
        change = -decay.alpha * b * history.h / (2 * (node - history.start))
        halves = jnp.stack([decay.data - change, change])
        halves = jnp.pad(halves[::-1] if new_first else halves, ((0, len(weights) - 2), (0, 0)))
        apart = (node != history.start) & history.finite
        return jnp.where(one_difference & apart, halves, weights)
