"""The reverse-time SDE with steps that each example chooses.

In the clock ς = α²/σ², the signal-to-noise ratio, the reverse-time SDE of every affine SDE is

    dU = D dς + dB,   U = √ς x/σ,   D = E[x_0 | x],                               (1)

whose noise is additive. A step from ς_i to ς' predicts by the line in log ς through the last two D,
and corrects by the line through the last and the new one, with the same noise,

    U' = U + ∫ L(D_i, D_{i−1}) dς + B' − B,   U'' = U + ∫ L(D', D_i) dς + B' − B,  (2)

D' evaluated at U' and kept as the D of the next step: one evaluation a step. U'' − U', in units of
√(s²α² + σ²), estimates the error, which the noise in D makes of order 3/2. It is accepted if its
size (`step_control`, eq. 1) is at most 1, and the next step is

    h ← min(h · clip(0.8 E^{−2/3}, 0.2, 3), 1/2)   in log ς.                      (3)

Steps end on a lattice of log ς, where a rejected step meets the same path B again (`brownian`).
Still the steps follow the path, through E: in few dimensions E is small by chance, and it is 0
before there is any signal, at any length. So no step is longer than 1/2, at which the method errs
by 3 % of the variance at most: whatever the tolerance, steps that are taken by chance do no more.

References: Jolicoeur-Martineau et al. 2021, "Gotta go fast" (an embedded pair, extrapolation);
Montanari 2023, "Sampling, diffusions, and stochastic localization" (1).
"""

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers import brownian, noise
from samplers.coordinates.angle import Angle
from samplers.integrators.step_control import error_size, where
from sde_lib import SDE, Model, Range, expand

_SAFETY, _SHRINK, _GROW = 0.8, 0.2, 3.0

_LONGEST = 0.5
"""Of a step in log ς. Beyond, up to 1, tolerances from 0.02 on bend the law by 4 % to 12 %."""


class Adaptive(NamedTuple):
    """Samples [B, ...], evaluations each took [B], and whether it reached the end in them [B]."""

    x: Array
    evaluations: Array
    finished: Array


class _State(NamedTuple):
    """at: the lattice point [B]; step: to the next. z: x/σ. path: B at the point.

    data, older: D there and at the step before, `before` in log ς away (0: there is none).
    """

    turn: Array
    at: Array
    step: Array
    z: Array
    data: Array
    older: Array
    before: Array
    path: Array
    evaluations: Array


class _Lattice(NamedTuple):
    """The clock on the lattice, uniform in log ς between the ends."""

    sde: SDE
    t_max: Array | float
    first: Array
    last: Array

    @classmethod
    def of(cls, sde: SDE, t_min: Array | float, t_max: Array | float, s: Array) -> "_Lattice":
        # Where no signal is left at all: from the time at which there is a thousandth part.
        least = 2 * jnp.log(1e-3 / s)
        return cls(sde, t_max, jnp.maximum(sde.log_snr(t_max), least), sde.log_snr(t_min))

    @property
    def longest(self) -> Array:
        """The longest step."""
        steps = jnp.floor(_LONGEST / (self.last - self.first) * brownian.SIZE)
        return jnp.maximum(steps, 1).astype(jnp.int32)

    def log_clock(self, at: Array) -> Array:
        """log ς."""
        return self.first + (self.last - self.first) * at / brownian.SIZE

    def clock(self, at: Array) -> Array:
        """ς."""
        return jnp.exp(self.log_clock(at))

    def time(self, at: Array) -> Array:
        """t."""
        return jnp.where(at == 0, self.t_max, self.sde.time_of_log_snr(self.log_clock(at)))


@partial(jax.jit, static_argnames=("shape", "denoise", "max_evaluations"))
def sample_adaptively(
    key: Array,
    sde: SDE,
    model: Model,
    shape: tuple[int, ...],
    *,
    t_min: Array | float,
    t_max: Array | float = 1.0,
    rtol: Annotated[Array | float, Range(above=0)] = 0.005,
    atol: Annotated[Array | float, Range(above=0)] = 0.005,
    data_std: Array | float = 0.5,
    cond: Any = None,
    indices: Array | None = None,
    latents: Array | None = None,
    denoise: bool = True,
    max_evaluations: Annotated[int, Range(low=1)] = 2000,
) -> Adaptive:
    """Samples of `shape` [B, ...] by eq. 2 and 3.

    Args:
      key, sde, model, cond, indices, latents: as for `sample`.
      t_min, t_max: the ends.
      rtol, atol: the tolerances.
      data_std: s.
      denoise: end with E[x_0 | x]; no further evaluation.
      max_evaluations: turns of the loop at most; what has not reached the end by then is returned
        as it is, and is not `finished`.
    """
    keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
    z = noise.normal(keys, noise.LATENT, shape[1:]) if latents is None else latents
    s, t_max = jnp.asarray(data_std, dtype=float), jnp.asarray(t_max, dtype=float)
    z = z / (Angle(sde, s).scale(t_max) * sde.sigma(t_max))
    lattice = _Lattice.of(sde, t_min, t_max, s)
    batch = shape[0]

    def turn(state: _State) -> _State:
        """One evaluation. The first is at the start and goes nowhere: one copy of the network."""
        running = state.at < brownian.SIZE
        to = jnp.where(state.turn > 0, state.at + state.step, state.at)
        now, then = lattice.clock(state.at), lattice.clock(to)
        path = brownian.path(keys, lattice.clock, to, shape[1:])
        root, gained = jnp.sqrt(then), then - now
        # ∫ (log ς − log ς_0)/h dς over the step, 0 if it has no length; and over the one before it.
        h = lattice.log_clock(to) - lattice.log_clock(state.at)
        later = jnp.where(h > 0, then - gained / jnp.where(h > 0, h, 1.0), 0.0)
        ahead = jnp.where(state.before > 0, later * h / jnp.maximum(state.before, 1e-6), 0.0)
        trend = expand(ahead, z) * (state.data - state.older)
        u = expand(jnp.sqrt(now), z) * state.z + expand(gained, z) * state.data
        predicted = (u + trend + path - state.path) / expand(root, z)
        time = lattice.time(to)
        data = model(predicted * expand(sde.sigma(time), z), time, cond).data
        change = (expand(later, z) * (data - state.data) - trend) / expand(root, z)
        corrected = predicted + change

        unit = expand(jnp.sqrt(1 + s**2 * then), z)
        size = error_size(change / unit, state.z / unit, corrected / unit, rtol, atol)
        accept = ((size <= 1) | (state.step <= 1) | (state.turn == 0)) & running
        factor = jnp.clip(_SAFETY * jnp.maximum(size, 1e-10) ** (-2 / 3), _SHRINK, _GROW)
        factor = jnp.where(jnp.isfinite(size), factor, _SHRINK)
        at = jnp.where(accept, to, state.at)
        step = jnp.round(state.step * factor).astype(state.step.dtype)
        return _State(
            turn=state.turn + 1,
            at=at,
            step=jnp.clip(step, 1, jnp.clip(brownian.SIZE - at, 1, lattice.longest)),
            z=where(accept, corrected, state.z),
            data=where(accept, data, state.data),
            older=where(accept, state.data, state.older),
            before=jnp.where(accept, h, state.before),
            path=where(accept, path, state.path),
            evaluations=state.evaluations + running,
        )

    state = jax.lax.while_loop(
        lambda s: jnp.any(s.at < brownian.SIZE) & (s.turn < max_evaluations),
        turn,
        _State(
            turn=jnp.zeros((), jnp.int32),
            at=jnp.zeros(batch, jnp.int32),
            step=jnp.full(batch, brownian.SIZE // 256, jnp.int32),
            z=z,
            data=jnp.zeros_like(z),
            older=jnp.zeros_like(z),
            before=jnp.zeros(batch),
            path=jnp.zeros_like(z),
            evaluations=jnp.zeros(batch, jnp.int32),
        ),
    )
    x = state.z * expand(sde.sigma(lattice.time(state.at)), z)
    return Adaptive(state.data if denoise else x, state.evaluations, state.at == brownian.SIZE)
