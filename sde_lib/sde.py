"""The affine SDE: two curves, and everything that follows from them.

    dx = f(t) x dt + g(t) dw,   t ∈ [0, 1]                                        (1)
    x_t | x_0 ~ N(α(t) x_0, σ(t)² I)                                              (2)
    f = d log α / dt,    g² = dσ²/dt − 2 f σ²                                     (3)
    x_t | x_s ~ N(α_{t|s} x_s, σ²_{t|s} I),   s < t                               (4)
        α_{t|s} = α_t/α_s,   σ²_{t|s} = σ_t² − α²_{t|s} σ_s²
    reverse time:       dx = (f x − g² ∇log p_t) dt + g dw̄                        (5)
    probability flow:   dx = (f x − ½ g² ∇log p_t) dt                             (6)

A subclass writes α and σ. Whatever is derived from them here, by automatic differentiation where
needed, a subclass may replace by a closed form, which the tests check against the derived one.

Shapes: a time is a scalar or [B]; curves are elementwise in t. Methods that take a state x of shape
[B, ...] expand t to x's rank once, here.

Reference: Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations",
ICLR 2021, eq. 5, 6, 13 and 29.
"""

import abc
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from sde_lib.pytree import Pytree
from sde_lib.ranges import check_ranges
from sde_lib.registry import Registry
from sde_lib.shapes import AnyTimes, PerExample, States, Time, Times
from sde_lib.times import of_times, value_and_slope

# Halvings of [0, 1] that locate any time above 1e-7 to the last bit of float32 (2⁻⁴⁸ ≈ 4e-15).
_BISECTIONS = 48


def expand(t: ArrayLike, x: Array) -> Array:
    """A time t, a scalar or [B], in a shape that broadcasts against x [B, ...].

    Raises:
      ValueError: t is neither a scalar nor one number per example of x.
    """
    t = jnp.asarray(t)
    if t.ndim == 0:
        return t
    if t.shape != x.shape[:1]:
        raise ValueError(f"t: got shape {t.shape}, takes a scalar or ({x.shape[0]},)")
    return t.reshape(t.shape + (1,) * (x.ndim - 1))


class Transition(NamedTuple):
    """The Gaussian kernel from a time s to a later t, eq. 4 of `sde`; each field is [] or [B].

    Args:
      alpha: α_{t|s}, the scale of x_s in x_t.
      variance: σ²_{t|s}, the variance of the noise that the step adds.
      fraction: σ²_{t|s}/σ_t², from 0 to 1: the part of the noise in x_t that the step adds.
    """

    alpha: Array
    variance: Array
    fraction: Array


# Methods that get times, or log-SNRs, and nothing else by position.
_OF_TIMES = (
    "alpha",
    "sigma",
    "log_alpha",
    "noise_to_signal",
    "log_snr",
    "time_of_log_snr",
    "time_of_noise_to_signal",
    "drift_coefficient",
    "diffusion",
    "transition",
    "discrete_transition",
)


class SDE(Pytree, abc.ABC):
    """The affine SDE: a subclass declares its numbers as fields and writes `alpha` and `sigma`.

    What a subclass writes of `_OF_TIMES` gets float arrays, whatever the caller gave.
    """

    def __init_subclass__(cls, **kwargs: Any):
        for name in _OF_TIMES:
            if name in vars(cls):
                setattr(cls, name, of_times(vars(cls)[name]))
        super().__init_subclass__(**kwargs)

    @abc.abstractmethod
    def alpha(self, t: AnyTimes) -> Times:
        """α(t), the scale of the data in x_t."""

    @abc.abstractmethod
    def sigma(self, t: AnyTimes) -> Times:
        """σ(t), the standard deviation of the noise in x_t."""

    def validate(self) -> None:
        """Check the field values; called where a config becomes an SDE, never under tracing.

        Raises:
          ValueError: a field is out of its range, a curve is not one number a time, or log-SNR does
            not decrease with t.
        """
        check_ranges(self)
        t = jnp.linspace(1e-3, 0.999, 64)
        for curve in (self.alpha, self.sigma):
            got = getattr(curve(t), "shape", None)
            if got != t.shape:
                name = f"{type(self).__name__}.{curve.__name__}"
                raise ValueError(f"{name}: returns shape {got} for times of shape {t.shape}")
        log_snr = self.log_snr(t)
        if not bool(jnp.all(jnp.diff(log_snr) < 0)):
            raise ValueError(f"{type(self).__name__}: log α²/σ² must decrease with t, it does not")

    # --- the curves -----------------------------------------------------------------------------

    def log_alpha(self, t: AnyTimes) -> Times:
        """log α(t), the logarithm of the scale of the data."""
        return jnp.log(self.alpha(t))

    def noise_to_signal(self, t: AnyTimes) -> Times:
        """n(t) = σ/α, the noise-to-signal ratio, increasing in t."""
        return self.sigma(t) / self.alpha(t)

    def log_snr(self, t: AnyTimes) -> Times:
        """log α²/σ², the log of the signal-to-noise ratio, decreasing in t."""
        return -2 * jnp.log(self.noise_to_signal(t))

    @of_times
    def time_of_log_snr(self, log_snr: AnyTimes) -> Times:
        """The t in [0, 1] at which log α²/σ² = log_snr, by bisection.

        A Newton step after it carries the derivative, by the implicit function theorem.
        """

        def halve(_: int, interval: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = interval
            middle = (low + high) / 2
            early = self.log_snr(middle) > log_snr
            return jnp.where(early, middle, low), jnp.where(early, high, middle)

        interval = (jnp.zeros_like(log_snr), jnp.ones_like(log_snr))
        low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, interval)
        t = jax.lax.stop_gradient((low + high) / 2)
        value, slope = value_and_slope(self.log_snr, t)
        step = (value - log_snr) / jax.lax.stop_gradient(slope)
        return jnp.clip(t - jnp.where(jnp.isfinite(step), step, 0.0), 0.0, 1.0)

    @of_times
    @jax.jit
    def time_of_noise_to_signal(self, noise_to_signal: AnyTimes) -> Times:
        """The t in [0, 1] at which σ/α = noise_to_signal, found by one program."""
        return self.time_of_log_snr(-2 * jnp.log(noise_to_signal))

    def drift_coefficient(self, t: AnyTimes) -> Times:
        """f(t) = d log α / dt, by which the drift of eq. 1 scales the state."""
        return value_and_slope(self.log_alpha, t)[1]

    def diffusion(self, t: AnyTimes) -> Times:
        """g(t), the diffusion of eq. 1, with g² = dσ²/dt − 2 f σ²."""
        variance, slope = value_and_slope(lambda t: self.sigma(t) ** 2, t)
        return jnp.sqrt(slope - 2 * self.drift_coefficient(t) * variance)

    # --- kernels --------------------------------------------------------------------------------

    def perturb(self, data: States, t: Time, noise: States) -> States:
        """The state x_t = α(t) data + σ(t) noise [B, ...] of data and noise [B, ...], eq. 2."""
        return expand(self.alpha(t), data) * data + expand(self.sigma(t), data) * noise

    @of_times
    def transition(self, s: AnyTimes, t: AnyTimes) -> Transition:
        """The kernel from s to a later t, eq. 4; if they are one time it moves nothing.

        σ²_{t|s}/σ_t² = 1 − (n_s/n_t)² is taken from a difference of log-SNRs, which keeps the
        digits that σ_t² − α²_{t|s} σ_s² loses when s is close to t.
        """
        # Where α = 0 both quotients would be 0/0.
        same = s == t
        fraction = jnp.where(same, 0.0, -jnp.expm1(self.log_snr(t) - self.log_snr(s)))
        return Transition(
            alpha=jnp.where(same, 1.0, self.alpha(t) / self.alpha(s)),
            variance=fraction * self.sigma(t) ** 2,
            fraction=fraction,
        )

    def discrete_transition(self, t: AnyTimes, *, num_scales: int) -> Transition:
        """The published kernel of one of `num_scales` steps that ends at t.

        Here the Euler step of eq. 1, α_{t|s} = 1 + f/N and σ²_{t|s} = g²/N. VP and VE have the
        tables of DDPM and SMLD instead. Euler's step does not end at σ_t², so its fraction is of
        the variance that it does reach, α²_{t|s} σ_s² + σ²_{t|s} with s = t − 1/N.
        """
        alpha = 1 + self.drift_coefficient(t) / num_scales
        variance = self.diffusion(t) ** 2 / num_scales
        before = self.sigma(jnp.maximum(jnp.asarray(t) - 1 / num_scales, 0.0)) ** 2
        return Transition(
            alpha=alpha,
            variance=variance,
            fraction=variance / (alpha**2 * before + variance),
        )

    def simulate(self, key: Array, x: Array, times: Array) -> Array:
        """A path of the SDE at increasing `times` [T] from x [B, ...] at times[0].

        Returns:
          The states [T, B, ...], each drawn from the exact kernel (4) given the one before.
        """

        def step(x: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            key, s, t = inputs
            kernel = self.transition(s, t)
            noise = jax.random.normal(key, x.shape, x.dtype)
            x = kernel.alpha * x + jnp.sqrt(kernel.variance) * noise
            return x, x

        keys = jax.random.split(key, len(times) - 1)
        _, path = jax.lax.scan(step, x, (keys, times[:-1], times[1:]))
        return jnp.concatenate([x[None], path])

    # --- drifts ---------------------------------------------------------------------------------

    def drift(self, x: States, t: Time) -> States:
        """The drift f(t) x of the SDE, eq. 1, at states x [B, ...]."""
        return expand(self.drift_coefficient(t), x) * x

    def reverse_drift(self, x: States, t: Time, score: States) -> States:
        """The drift f x − g² score of eq. 5 (its diffusion is g, its time runs down)."""
        return self.drift(x, t) - expand(self.diffusion(t), x) ** 2 * score

    def probability_flow_drift(self, x: States, t: Time, score: States) -> States:
        """The drift f x − ½ g² score of the probability flow, eq. 6."""
        return self.drift(x, t) - expand(self.diffusion(t), x) ** 2 * score / 2

    # --- prior ----------------------------------------------------------------------------------

    def prior_std(self) -> Float[Array, ""]:
        """The standard deviation of the prior N(0, std² I) that stands for p_1: σ(1)."""
        return self.sigma(jnp.ones(()))

    def prior_sample(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draws of `shape` from the prior."""
        return self.prior_std() * jax.random.normal(key, shape)

    def prior_log_prob(self, x: States) -> PerExample:
        """log N(x; 0, prior_std² I) in nats, summed over each example of x [B, ...]."""
        std = self.prior_std()
        squares = jnp.sum((x / std) ** 2, axis=tuple(range(1, x.ndim)))
        dim = math.prod(x.shape[1:])
        return -squares / 2 - dim * (jnp.log(std) + math.log(2 * math.pi) / 2)


sdes = Registry("SDE", SDE)
register = sdes.register
