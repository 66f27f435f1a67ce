"""The loop of every sampler on a grid of times.

    for each step of the grid:   corrector (m times), then solver (e evaluations)
    then, when asked for:        x ← E[x_0 | x_t_min]

What is done after an evaluation is in `actions`; a constraint (`control.constraint`) acts on what
each step and each correction ends with, and on what is returned.

It is one scan over the network evaluations, whatever each of them is for, in one compiled program
with one copy of the network.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from samplers import noise
from samplers.actions import Actions
from samplers.control.constraint import Constraint
from samplers.coordinates.angle import Angle
from samplers.progress import report
from samplers.sampler import Sampler, Samples
from samplers.schedule import Evaluation, schedule_of
from samplers.solvers.solver import Corrector, Solver, Steps
from sde_lib import SDE, Model, Prediction, static


class SamplePath(NamedTuple):
    """The end of a run of the loop, and what the data were taken to be on the way there.

    Args:
      x: the last state without the noise of the last step [B, ...].
      data: E[x_0 | x_t] at K of the evaluations [K, B, ...].
    """

    x: Float[Array, "batch *shape"]
    data: Float[Array, "kept batch *shape"]


class GridSampler(Sampler):
    """A solver, and perhaps a corrector, on a grid of times.

    Args:
      solver: one of `samplers.solvers`.
      grid: N + 1 decreasing times, as `samplers.grids` makes them.
      corrector: one of `samplers.correctors`, or None.
      data_std: s, the data's standard deviation in model units: the state at grid[0] has the
        deviation √(α²s² + σ²), wherever the grid starts.
      denoise: end with E[x_0 | x] at grid[-1], which is one evaluation more.
      constraint: what is known of the state, put into it after each step; or None.
    """

    remedy = "more steps, or another solver"

    solver: Solver
    grid: Array
    corrector: Corrector | None = None
    data_std: Array | float = 0.5
    denoise: bool = static(default=False)
    constraint: Constraint | None = None

    def num_evaluations(self, sde: SDE) -> int:
        """How often a sample evaluates the model under an SDE. Nothing is computed."""
        steps = jax.eval_shape(lambda sde, grid: self.solver.steps(sde, grid).start, sde, self.grid)
        corrections = self.corrector.num_steps if self.corrector is not None else 0
        return len(steps) * (self.solver.evaluations + corrections) + self.denoise

    @partial(jax.jit, static_argnames=("shape", "keep", "progress"))
    def draw(
        self,
        key: Key[Array, ""],
        sde: SDE,
        model: Model,
        shape: tuple[int, ...],
        *,
        cond: Any = None,
        indices: Int[Array, "batch"] | None = None,
        latents: Float[Array, "batch *shape"] | None = None,
        keep: int = 0,
        progress: bool = False,
    ) -> Samples:
        """Samples of `shape` [B, ...]: `Sampler.draw`, as one compiled program.

        Raises:
          ValueError: there is neither a solver nor a corrector, or the solver takes no constraint.
        """
        keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
        names: list[noise.Stream] = ["latent", "step", "renoise"]
        names += ["constraint"] if self.constraint is not None else []
        streams = {name: noise.stream(keys, name) for name in names}

        def draw(name: noise.Stream, number: Array | int) -> Array:
            return noise.normal(streams[name], number, shape[1:])

        latents = draw("latent", 0) if latents is None else latents
        x = latents / Angle(sde, self.data_std).scale(self.grid[0])
        number = self.num_evaluations(sde)
        keep = min(keep, number)
        end = self.integrate(draw, sde, partial(model, cond=cond), x, keep=keep, progress=progress)
        path = jnp.moveaxis(end.data, 0, 1) if keep else None
        return Samples(end.x, jnp.full(shape[0], number), path=path)

    def integrate(
        self,
        draw: Callable[[noise.Stream, Array], Array],
        sde: SDE,
        predict: Callable[[Array, Array], Prediction],
        x: Float[Array, "batch *shape"],
        *,
        keep: int = 0,
        progress: bool = False,
    ) -> SamplePath:
        """The loop from a given state, with a given source of noise.

        Args:
          draw: (stream, number of an evaluation) → standard normal [B, ...]. The streams are
            "step", "renoise" and "constraint".
          sde: the SDE.
          predict: (x, t) → Prediction.
          x: the state at grid[0], [B, ...].
          keep: K ≤ M. Of M evaluations number k is kept in place ⌊k K/M⌋, over those before it.
          progress: show a progress bar.
        """
        schedule = schedule_of(
            sde,
            self.solver,
            jnp.asarray(self.grid),
            self.corrector,
            self.denoise,
            self.constraint is not None,
        )
        total = len(schedule.evaluations.number)
        actions = Actions(
            draw, sde, self.solver, self.corrector, self.constraint, schedule.final_correction
        )
        branches = [actions.of(purpose) for purpose in schedule.purposes]

        def body(carry: tuple, now: Evaluation) -> tuple[tuple, None]:
            if progress:
                report(now.number, total)
            carried, kept = carry
            if self.solver.renoises:
                scale, std = now.renoise
                x = scale * carried.x + std * draw("renoise", now.number)
                carried = carried._replace(x=x)
            prediction = predict(carried.x, now.t)
            if keep:
                kept = kept.at[now.number * keep // total].set(prediction.data)
            moved = jax.lax.switch(now.purpose, branches, now, prediction, carried)
            return (moved, kept), None

        start = actions.start(x), jnp.zeros((keep, *x.shape), x.dtype)
        (end, kept), _ = jax.lax.scan(body, start, schedule.evaluations)
        return SamplePath(actions.end(schedule.evaluations, end, self.denoise), kept)

    def not_finite(self, sde: SDE) -> tuple[str, float] | None:
        """The first coefficients of the solver, else of the corrector, that are not finite."""
        steps = self.solver.steps(sde, self.grid)
        plans = {"solver": _plan(self.solver, sde, steps).coefficients}
        if self.corrector is not None:
            plans["corrector"] = _plan(self.corrector, sde, steps)
        for name, coefficients in plans.items():
            at = _first_not_finite(coefficients)
            if at is not None:
                return name, float(steps.start[at])
        return None


@jax.jit
def _plan(method: Solver | Corrector, sde: SDE, steps: Steps) -> Any:
    """What the method has computed before it starts, in one program."""
    return method.plan(sde, steps)


def _first_not_finite(coefficients: Any) -> int | None:
    """The first step with a coefficient that is not finite; leaves [N, ...]."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(coefficients)]
    finite = [jnp.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in leaves]
    return min((int(jnp.argmin(steps)) for steps in finite if not steps.all()), default=None)


def sample(
    key: Key[Array, ""],
    sde: SDE,
    model: Model,
    shape: tuple[int, ...],
    *,
    solver: Solver,
    grid: Float[Array, "times"],
    corrector: Corrector | None = None,
    data_std: Array | float = 0.5,
    denoise: bool = False,
    constraint: Constraint | None = None,
    cond: Any = None,
    indices: Int[Array, "batch"] | None = None,
    latents: Float[Array, "batch *shape"] | None = None,
    keep: int = 0,
    progress: bool = False,
) -> Samples:
    """Samples of `shape` [B, ...] by a solver on a grid: a `GridSampler` built and used at once.

    Args:
      key, sde, model, shape, cond, indices, latents, keep, progress: as for `Sampler.draw`.
      solver, grid, corrector, data_std, denoise, constraint: as for `GridSampler`.

    Returns:
      The samples, x [B, ...], and what came with them.

    Raises:
      ValueError: there is neither a solver nor a corrector, or the solver takes no constraint.
    """
    sampler = GridSampler(
        solver=solver,
        grid=grid,
        corrector=corrector,
        data_std=data_std,
        denoise=denoise,
        constraint=constraint,
    )
    return sampler.draw(
        key,
        sde,
        model,
        shape,
        cond=cond,
        indices=indices,
        latents=latents,
        keep=keep,
        progress=progress,
    )
