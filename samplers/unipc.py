"""UniPC: predict–correct in the data, with one function B(h) in the place of the exact weights.

In λ = log α/σ, with h = λ' − λ, D_i the prediction at λ_i, r_j = (λ_{i−j} − λ_i)/h and r_p = 1,

    predict   x' = (σ'/σ) x − α' φ_1 D_i − α' B Σ_{j<p} ρ_j (D_{i−j} − D_i)/r_j   (1)
    correct   the same with j = p, the value at the end, among the sum            (2)
    Σ_j ρ_j r_j^{k−1} = k! φ_{k+1}/B,   k = 1, 2, …                               (3)
    φ_1 = e^{−h} − 1,   φ_{k+1} = φ_k/(−h) − 1/k!

The prediction of order p has p − 1 unknowns in (3), the correction p and is of order p + 1. B is −h
("bh1") or e^{−h} − 1 ("bh2"); it matters for one unknown, where ρ = 1/2 replaces (3). The last step
has no correction unless it is evaluated at its end. Where h is infinite the step is of first order.

Reference: Zhao et al. 2023 "UniPC", eq. 3, 8 and 9, App. B (data).
"""

import math

import jax
import jax.numpy as jnp
from jax import Array

from samplers.data_exponential import Decay, History
from samplers.linear import LinearSolver, Row
from samplers.solver import Plan, Steps, solvers
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

    order: int = static(default=3)
    variant: str = static(default="bh2")

    @property
    def memory(self) -> int:
        """p and the new one."""
        return self.order + 1

    @property
    def claimed_order(self) -> int:
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
        finite = jnp.isfinite(history.h)
        predicted = self._weights(history, decay, corrects=False)
        corrected = self._weights(history, decay, corrects=True)
        first = jnp.zeros_like(predicted).at[:, 0].set(decay.data)
        usable = (finite & (history.known > 0))[:, None]
        predicted = jnp.where(usable, predicted, first)

        # At the evaluation that ends a step: b' from b, where the step had a history.
        num, memory = len(history.h), self.memory
        keep = jnp.eye(2 + memory)[0]
        correct = jnp.concatenate([jnp.zeros((num, 1)), decay.x[:, None], corrected], axis=1)
        correct = jnp.where(usable, correct, keep)
        data = jnp.array([1.0, 0.0])
        rows = Row(
            direction=jnp.broadcast_to(data, (num, 2)),
            base=jnp.concatenate([keep[None], correct[:-1]]),
            next=jnp.concatenate([decay.x[:, None], predicted], axis=1),
            std=jnp.zeros(num),
        )
        closing = Row(data, correct[-1], keep[: 1 + memory], jnp.zeros(()))
        return Plan(steps.start[:, None], jax.tree.map(lambda leaf: leaf[:, None], rows), closing)

    def _weights(self, history: History, decay: Decay, *, corrects: bool) -> Array:
        """Of D, newest first, [N, H]: with the new value in front if it corrects."""
        by_order = [self._of_order(p, history, decay, corrects) for p in range(1, self.order + 1)]
        which = jnp.clip(history.known, 1, self.order) - 1
        return jnp.take_along_axis(jnp.stack(by_order), which[None, :, None], axis=0)[0]

    def _of_order(self, p: int, history: History, decay: Decay, corrects: bool) -> Array:
        """Eq. 3 solved for one p, for every step."""
        h, num = history.h, len(history.h)
        past = [(jnp.roll(history.start, j) - history.start) / h for j in range(1, p)]
        r = jnp.stack([*past, *[jnp.ones(num)] * corrects, h])[:-1].T
        phi = jnp.expm1(-h)
        b = -h if self.variant == "bh1" else phi
        rho = _solve(r, h, phi, b)
        change = decay.alpha[:, None] * b[:, None] * rho / r
        first = decay.data + jnp.sum(change, axis=1)
        # Newest first: D at the end if it is known, then D_i, D_{i−1}, …
        parts = [-change[:, p - 1 :], first[:, None], -change[:, : p - 1]]
        weights = jnp.concatenate(parts, axis=1)
        return jnp.pad(weights, ((0, 0), (0, self.memory - weights.shape[1])))


def _solve(r: Array, h: Array, phi: Array, b: Array) -> Array:
    """ρ of eq. 3, [N, unknowns]. One unknown has 1/2, as published."""
    unknowns = r.shape[1]
    if unknowns < 2:
        return jnp.full_like(r, 1 / 2)
    right = []
    for k in range(1, unknowns + 1):
        phi = phi / -h - 1 / math.factorial(k)
        right.append(math.factorial(k) * phi / b)
    # The rows of eq. 3 are powers of r: ρ_j is what Lagrange's polynomial of r_j makes of them.
    return jnp.stack([_lagrange(r, j, right) for j in range(unknowns)], axis=1)


def _lagrange(r: Array, j: int, moments: list[Array]) -> Array:
    """Σ_k c_k moments_k with L_j(x) = Σ_k c_k x^k, 1 at r_j and 0 at the other r."""
    coefficients, scale = [jnp.ones(len(r))], jnp.ones(len(r))
    for other in (i for i in range(r.shape[1]) if i != j):
        node = r[:, other]
        lower = [-node * c for c in coefficients] + [jnp.zeros(len(r))]
        upper = [jnp.zeros(len(r)), *coefficients]
        coefficients = [low + up for low, up in zip(lower, upper, strict=True)]
        scale = scale * (r[:, j] - node)
    return sum(c * m for c, m in zip(coefficients, moments, strict=True)) / scale
