"""The reverse-time SDE with steps that each example chooses.

In the clock ς = α²/σ², the signal-to-noise ratio, the reverse-time SDE of every affine SDE is

    dU = D dς + dB,   U = √ς x/σ,   D = E[x_0 | x],                               (1)

whose noise is additive. A step from ς_i to ς' predicts by the line in log ς through the last two D,
and corrects by the line through the last and the new one, with the same noise,

    U' = U + ∫ L(D_i, D_{i−1}) dς + B' − B,   U'' = U + ∫ L(D', D_i) dς + B' − B,  (2)

D' evaluated at U' and kept as the D of the next step: one evaluation a step. U'' − U', in units of
√(s²α² + σ²), estimates the error, which the noise in D makes of order 3/2. It is accepted if its
size E (`step_control`, eq. 1) is at most 1, and the next step is

    h ← min(h · clip(0.8 E^{−2/3}, 0.2, 3), 1/2)   in log ς.                      (3)

Steps end on a lattice of log ς, where a rejected step meets the same path B again (`brownian`).
Still the steps follow the path, through E: in few dimensions E is small by chance, and it is 0
before there is any signal, at any length. So no step is longer than 1/2, at which the method errs
by 3 % of the variance at most: whatever the tolerance, steps that are taken by chance do no more.

References: Jolicoeur-Martineau et al. 2021, "Gotta go fast" (an embedded pair, extrapolation);
Montanari 2023, "Sampling, diffusions, and stochastic localization" (1).
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, Key

from samplers import brownian, noise
from samplers.coordinates.angle import Angle
from samplers.integrators.step_control import error_size, where
from samplers.sampler import Sampler, Samples, check_no_path
from sde_lib import SDE, Model, expand, number, static

_SAFETY, _SHRINK, _GROW = 0.8, 0.2, 3.0
"""The numbers of eq. 3, as is usual for embedded pairs (Hairer, Nørsett & Wanner 1993, §II.4)."""

_LONGEST = 0.5
"""The longest step in log ς. Beyond, up to 1, tolerances from 0.02 on bend the law by 4 to 12 %."""

_FIRST = brownian.SIZE // 256
"""The first step tried, in points of the lattice."""

_MIN_SIGNAL = 1e-3
"""The lattice starts where α s/σ is this: before there is no signal, and log ς may be infinite."""


class AdaptiveSDESampler(Sampler):
    """The reverse-time SDE with steps that each example chooses, by eq. 2 and 3.

    Args:
      t_min: where it ends.
      t_max: where it starts.
      rtol: the relative tolerance of E.
      atol: the absolute tolerance of E, in units of √(s²α² + σ²).
      data_std: s, the data's standard deviation in model units.
      denoise: end with E[x_0 | x]; no further evaluation.
      max_evaluations: iterations at most. What has not reached t_min by then is returned as it is,
        and is not `finished`.

    Reference: Jolicoeur-Martineau et al. 2021, "Gotta go fast".
    """

    reference = "Jolicoeur-Martineau et al. 2021"
    remedy = "smaller tolerances (rtol), or another solver"

    t_min: Array | float
    t_max: Array | float = 1.0
    rtol: Array | float = number(default=0.005, above=0)
    atol: Array | float = number(default=0.005, above=0)
    data_std: Array | float = 0.5
    denoise: bool = static(default=True)
    max_evaluations: int = static(default=2000, low=1)

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
        """Samples of `shape` [B, ...]: `Sampler.draw`, as one compiled program."""
        del progress
        check_no_path(keep)
        keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
        if latents is None:
            latents = noise.normal(noise.stream(keys, "latent"), 0, shape[1:])
        s, t_max = jnp.asarray(self.data_std, dtype=float), jnp.asarray(self.t_max, dtype=float)
        z = latents / (Angle(sde, s).scale(t_max) * sde.sigma(t_max))
        lattice = _Lattice.of(sde, self.t_min, t_max, s)
        paths = noise.stream(keys, "path")
        iteration = _Iteration(self, sde, partial(model, cond=cond), paths, lattice, s)
        end = jax.lax.while_loop(
            lambda state: jnp.any(state.running) & (state.number < self.max_evaluations),
            iteration.advance,
            _State.at_start(z),
        )
        x = end.z * expand(sde.sigma(lattice.time(end.at)), z)
        return Samples(end.data if self.denoise else x, end.evaluations, ~end.running)


class _State(NamedTuple):
    """Where the examples are.

    number: iterations so far, a scalar.
    at: the lattice point of each [B].
    step: lattice points to the next [B].
    z: x/σ [B, ...].
    data: D at the point [B, ...].
    older: D at the point before it [B, ...].
    before: how far back that is in log ς [B]; 0 where there is none.
    path: B at the point [B, ...].
    evaluations: of the network, for each [B].
    """

    number: Int[Array, ""]
    at: Int[Array, "batch"]
    step: Int[Array, "batch"]
    z: Float[Array, "batch *shape"]
    data: Float[Array, "batch *shape"]
    older: Float[Array, "batch *shape"]
    before: Float[Array, "batch"]
    path: Float[Array, "batch *shape"]
    evaluations: Int[Array, "batch"]

    @classmethod
    def at_start(cls, z: Float[Array, "batch *shape"]) -> "_State":
        """All at the lattice's first point."""
        batch = len(z)
        return cls(
            number=jnp.zeros((), jnp.int32),
            at=jnp.zeros(batch, jnp.int32),
            step=jnp.full(batch, _FIRST, jnp.int32),
            z=z,
            data=jnp.zeros_like(z),
            older=jnp.zeros_like(z),
            before=jnp.zeros(batch),
            path=jnp.zeros_like(z),
            evaluations=jnp.zeros(batch, jnp.int32),
        )

    @property
    def running(self) -> Bool[Array, "batch"]:
        """Which examples have not reached the last point [B]."""
        return self.at < brownian.SIZE


class _Lattice(NamedTuple):
    """The clock on the lattice, uniform in log ς between the ends."""

    sde: SDE
    t_max: Array | float
    first: Array
    last: Array

    @classmethod
    def of(cls, sde: SDE, t_min: Array | float, t_max: Array | float, s: Array) -> "_Lattice":
        """The lattice from t_max, or from where there is a signal, to t_min."""
        least = 2 * jnp.log(_MIN_SIGNAL / s)
        return cls(sde, t_max, jnp.maximum(sde.log_snr(t_max), least), sde.log_snr(t_min))

    @property
    def longest(self) -> Int[Array, ""]:
        """The longest step, in points."""
        steps = jnp.floor(_LONGEST / (self.last - self.first) * brownian.SIZE)
        return jnp.maximum(steps, 1).astype(jnp.int32)

    def log_clock(self, at: Int[Array, "batch"]) -> Float[Array, "batch"]:
        """log ς."""
        return self.first + (self.last - self.first) * at / brownian.SIZE

    def clock(self, at: Int[Array, "batch"]) -> Float[Array, "batch"]:
        """ς."""
        return jnp.exp(self.log_clock(at))

    def time(self, at: Int[Array, "batch"]) -> Float[Array, "batch"]:
        """t."""
        return jnp.where(at == 0, self.t_max, self.sde.time_of_log_snr(self.log_clock(at)))


class _Step(NamedTuple):
    """A step that is tried.

    to: the lattice point it ends at [B].
    h: its length in log ς [B].
    z: x/σ at the end, corrected [B, ...].
    data: D' there [B, ...].
    path: B' there [B, ...].
    error: E, the size of its error [B].
    """

    to: Int[Array, "batch"]
    h: Float[Array, "batch"]
    z: Float[Array, "batch *shape"]
    data: Float[Array, "batch *shape"]
    path: Float[Array, "batch *shape"]
    error: Float[Array, "batch"]


class _Iteration(NamedTuple):
    """One network evaluation for every example: a step is tried, and taken if it is good."""

    sampler: AdaptiveSDESampler
    sde: SDE
    model: Any
    keys: Key[Array, "batch"]
    lattice: _Lattice
    s: Float[Array, ""]

    def advance(self, state: _State) -> _State:
        """The state after the iteration.

        The first only evaluates D at the start (step length 0), so that the program contains the
        network once.
        """
        to = jnp.where(state.number > 0, state.at + state.step, state.at)
        step = self._try(state, to)
        good = (step.error <= 1) | (state.step <= 1) | (state.number == 0)
        accept = good & state.running
        at = jnp.where(accept, to, state.at)
        return _State(
            number=state.number + 1,
            at=at,
            step=self._next_length(state.step, step.error, at),
            z=where(accept, step.z, state.z),
            data=where(accept, step.data, state.data),
            older=where(accept, state.data, state.older),
            before=jnp.where(accept, step.h, state.before),
            path=where(accept, step.path, state.path),
            evaluations=state.evaluations + state.running,
        )

    def _try(self, state: _State, to: Int[Array, "batch"]) -> _Step:
        """Eq. 2."""
        lattice, z = self.lattice, state.z
        now, then = lattice.clock(state.at), lattice.clock(to)
        path = brownian.path(self.keys, lattice.clock, to, z.shape[1:])
        root, gained = jnp.sqrt(then), then - now
        # ∫ (log ς − log ς_0)/h dς over the step, 0 if it has no length; and over the one before it.
        h = lattice.log_clock(to) - lattice.log_clock(state.at)
        later = jnp.where(h > 0, then - gained / jnp.where(h > 0, h, 1.0), 0.0)
        ahead = jnp.where(state.before > 0, later * h / jnp.maximum(state.before, 1e-6), 0.0)
        trend = expand(ahead, z) * (state.data - state.older)
        u = expand(jnp.sqrt(now), z) * z + expand(gained, z) * state.data
        predicted = (u + trend + path - state.path) / expand(root, z)
        time = lattice.time(to)
        data = self.model(predicted * expand(self.sde.sigma(time), z), time).data
        change = (expand(later, z) * (data - state.data) - trend) / expand(root, z)
        corrected = predicted + change
        return _Step(to, h, corrected, data, path, self._error(change, z, corrected, then))

    def _error(self, change: Array, old: Array, new: Array, then: Array) -> Array:
        """E [B] of a change of x/σ, in units of √(s²α² + σ²)/σ at the step's end."""
        unit = expand(jnp.sqrt(1 + self.s**2 * then), old)
        rtol, atol = self.sampler.rtol, self.sampler.atol
        return error_size(change / unit, old / unit, new / unit, rtol, atol)

    def _next_length(self, step: Array, error: Array, at: Array) -> Array:
        """Eq. 3, in points of the lattice, from the point `at`; never beyond the last one."""
        factor = jnp.clip(_SAFETY * jnp.maximum(error, 1e-10) ** (-2 / 3), _SHRINK, _GROW)
        factor = jnp.where(jnp.isfinite(error), factor, _SHRINK)
        longest = jnp.clip(brownian.SIZE - at, 1, self.lattice.longest)
        return jnp.clip(jnp.round(step * factor).astype(step.dtype), 1, longest)
