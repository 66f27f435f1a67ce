"""What the driver does after each network evaluation, by what the evaluation is for.

The first evaluation after a step is the first at its end, so what the solver still has to say of
the step (`Solver.settle`) comes before anything else moves the state: a correction, the denoising,
or the constraint, which has moved x before the evaluation and is put on the settled x anew.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from samplers.control.constraint import Constraint
from samplers.noise import Stream
from samplers.schedule import Evaluation, Purpose
from samplers.solvers.solver import Corrector, Solver
from sde_lib import SDE, Prediction


class Carry(NamedTuple):
    """What the driver's loop carries from evaluation to evaluation.

    Args:
      x: the state, [B, ...].
      mean: x without the noise of its last update, and without the constraint on it.
      state: what the solver keeps.
      free: x before the constraint has moved it; None where nothing asks for it.
    """

    x: Array
    mean: Array
    state: Any
    free: Array | None


Action = Callable[[Evaluation, Prediction, Carry], Carry]
"""What is done after an evaluation."""


class Actions(NamedTuple):
    """What is done after an evaluation: a method for each purpose that `schedule` knows.

    Args:
      draw: (stream, number of an evaluation) → standard normal noise [B, ...].
      sde, solver, corrector, constraint: as of `GridSampler`.
      final_correction: whether the solver corrects the last step before the denoising.
    """

    draw: Callable[[Stream, Array], Array]
    sde: SDE
    solver: Solver
    corrector: Corrector | None
    constraint: Constraint | None
    final_correction: bool

    def of(self, purpose: Purpose) -> Action:
        """The action after an evaluation for a purpose."""
        act: Action = getattr(self, purpose.action)
        if not purpose.ends:
            return act

        def act_and_constrain(now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
            carry = act(now, prediction, carry)
            free = None if carry.free is None else carry.x
            return carry._replace(x=self._constrain(now.number, carry.x, now.end), free=free)

        return act_and_constrain

    def start(self, x: Array) -> Carry:
        """What the loop begins with, at a state x [B, ...] that no constraint moves."""
        settles = self.constraint is not None and self.solver.remembers
        return Carry(x, x, self.solver.init(x), x if settles else None)

    def end(self, evaluations: Evaluation, carry: Carry, denoised: bool) -> Array:
        """What is returned after all evaluations."""
        if self.constraint is None:
            return carry.mean
        number, end = evaluations.number[-1], evaluations.end[-1]
        return self._constrain(number, carry.mean, None if denoised else end)

    def correct(self, now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
        """A correction."""
        assert self.corrector is not None
        fresh = partial(self.draw, "step", now.number)
        x, mean = self.corrector.update(fresh, prediction, carry.x, now.corrector)
        return carry._replace(x=x, mean=mean)

    def settle_and_correct(self, now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
        """The first correction after a step, whose evaluation is the first at the step's end."""
        return self.correct(now, prediction, self._settle(now, prediction, carry))

    def solve(self, now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
        """An update of the solver."""
        fresh = partial(self.draw, "step", now.number)
        update = self.solver.update(fresh, prediction, carry.x, now.solver, carry.state)
        return Carry(*update, carry.free)

    def solve_moved(self, now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
        """An update of the solver from a settled state that has been moved since."""
        fresh = partial(self.draw, "step", now.number)
        update = self.solver.update_moved(fresh, prediction, carry.x, now.solver, carry.state)
        return Carry(*update, carry.free)

    def settle_and_solve(self, now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
        """The first update of the solver after a step with a constraint on its end."""
        return self.solve_moved(now, prediction, self._settle(now, prediction, carry))

    def finish(self, now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
        """The denoised end."""
        if not self.final_correction:
            return carry._replace(x=prediction.data, mean=prediction.data)
        x = self._settle(now, prediction, carry).x
        # Where σ = 0 there is no noise to remove, and none to know.
        sigma = self.sde.sigma(now.t)
        removed = jnp.where(sigma > 0, sigma * prediction.noise, 0.0)
        data = (x - removed) / self.sde.alpha(now.t)
        return carry._replace(x=data, mean=data)

    def _settle(self, now: Evaluation, prediction: Prediction, carry: Carry) -> Carry:
        free = carry.x if carry.free is None else carry.free
        x, state = self.solver.settle(prediction, free, now.solver, carry.state)
        if carry.free is not None:
            # As the step has ended one evaluation before, if there is one before.
            x = jnp.where(now.number > 0, self._constrain(now.number - 1, x, now.t), x)
        return carry._replace(x=x, state=state)

    def _constrain(self, number: Array, x: Array, t_end: Array | None) -> Array:
        """x with the constraint on what the evaluation of that number has led to."""
        assert self.constraint is not None
        moved = self.constraint.apply(partial(self.draw, "constraint", number), x, t_end)
        if jnp.shape(moved) != x.shape:
            name = type(self.constraint).__name__
            raise ValueError(
                f"{name}.apply: returns shape {jnp.shape(moved)} for states of shape {x.shape}"
            )
        return moved
