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

import jax
import jax.numpy as jnp
from jax import Array

from samplers.solvers.data_exponential import Decay, History, interpolated
from samplers.solvers.linear import LinearSolver, Row
from samplers.solvers.solver import Plan, Steps, solvers
from sde_lib import SDE, static


@solvers.register("unipc")
class UniPC(LinearSolver):
    """Eq. 1 to 3.

    Args:
      order: p, from 1 to 3.
      variant: B, "bh1" or "bh2".
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
        """One evaluation a step, and one at the end to correct the last.

        Raises:
          ValueError: `order` or `variant` is none of those.
        """
        if self.order not in (1, 2, 3):
            raise ValueError(f"order: got {self.order}, takes 1 to 3")
        if self.variant not in ("bh1", "bh2"):
            raise ValueError(f"variant: got {self.variant!r}, takes 'bh1' or 'bh2'")
        history, decay = History.of(sde, steps), Decay.of(sde, steps.start, steps.end, 0.0)
        nodes = jnp.stack([jnp.roll(history.start, j) for j in range(self.memory)])
        count = jnp.minimum(history.known, self.order)
        predicted = interpolated(nodes, count, history, decay)
        predicted = self._halved(predicted, count == 2, nodes[1], history, decay)
        # The new value in front: D_i is the second.
        after = jnp.concatenate([history.end[None], nodes[:-1]])
        corrected = interpolated(after, count + 1, history, decay)
        corrected = self._halved(corrected, count == 1, history.end, history, decay, other=0)
        usable = (history.regular & (history.known > 0))[:, None]

        # At the evaluation that ends a step: b' from b, where the step had a history.
        num, memory = len(history.h), self.memory
        keep = jnp.eye(2 + memory)[0]
        correct = jnp.concatenate([jnp.zeros((1, num)), decay.x[None], corrected]).T
        correct = jnp.where(usable, correct, keep)
        data = jnp.array([1.0, 0.0])
        rows = Row(
            direction=jnp.broadcast_to(data, (num, 2)),
            base=jnp.concatenate([keep[None], correct[:-1]]),
            next=jnp.concatenate([decay.x[None], predicted]).T,
            std=jnp.zeros(num),
        )
        final_correction = Row(data, correct[-1], keep[: 1 + memory], jnp.zeros(()))
        return Plan(
            steps.start[:, None], jax.tree.map(lambda leaf: leaf[:, None], rows), final_correction
        )

    def _halved(
        self,
        weights: Array,
        few: Array,
        node: Array,
        history: History,
        decay: Decay,
        other: int = 1,
    ) -> Array:
        """Weights [H, N], with ρ = 1/2 where `few`: of D_i and of number `other`, at `node`."""
        b = -history.h if self.variant == "bh1" else jnp.expm1(-history.h)
        change = -decay.alpha * b * history.h / (2 * (node - history.start))
        halves = (
            jnp.zeros_like(weights).at[other].set(change).at[1 - other].set(decay.data - change)
        )
        return jnp.where(few & (node != history.start) & history.regular, halves, weights)
