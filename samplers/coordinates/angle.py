"""The coordinate in which the probability flow of every affine SDE is one well-conditioned ODE.

With n = σ/α the noise-to-signal ratio and s a scale of the data,

    θ = arctan(n/s),    w = x/√(s²α² + σ²) = (cos θ/s) x/α,                       (1)

the probability flow reads, with E the posterior means of noise and data,

    dw/dθ = cos θ E[ε | x_t] − sin θ E[x_0 | x_t]/s,                              (2)

a field that is bounded from θ = 0 (data) to θ = π/2 (α = 0, noise alone). For Gaussian data of
standard deviation s it is zero: only what is not Gaussian is left to integrate. A uniform grid in θ
serves the flow from end to end. Since

    E[x_0 | x_t] = s (w cos θ − w' sin θ),    w' = dw/dθ,                         (3)

the denoised end costs nothing when the integrator knows the slope there.

`benchmarks/likelihood.py` measures (1) against t, log n and n/(s + n), and s from a third of the
data's standard deviation to half as much again: the deviation itself is as good as any.

References: Song et al. 2021, eq. 13; Salimans & Ho 2022, App. D (the angle; (2) is their v); Lu &
Song 2024, "sCM", §3.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from sde_lib import SDE, Model, expand


class Angle(NamedTuple):
    """The coordinate (θ, w) in which an SDE's probability flow is integrated: eq. 1 of the module.

    Args:
      sde: the SDE.
      s: the scale of the data, a positive number.

    Reference: Salimans & Ho 2022, App. D.
    """

    sde: SDE
    s: Array | float

    def theta(self, t: Array | float) -> Float[Array, "..."]:
        """θ at the time t, a scalar or [B]; of t's shape."""
        return jnp.arctan2(self.sde.sigma(t), self.s * self.sde.alpha(t))

    def scale(self, t: Array | float) -> Float[Array, "..."]:
        """w/x at the time t, a scalar or [B]; of t's shape."""
        return 1 / jnp.hypot(self.s * self.sde.alpha(t), self.sde.sigma(t))

    def time(self, theta: Float[Array, "..."]) -> Float[Array, "..."]:
        """The time at θ, from log n = log s + log tan θ; the inverse of `theta`."""
        # The float nearest to π/2 may lie beyond it.
        log_cosine = jnp.log(jnp.maximum(jnp.cos(theta), 0.0))
        log_noise = jnp.log(self.s * jnp.sin(theta)) - log_cosine
        return self.sde.time_of_log_snr(-2 * log_noise)

    def slope(
        self,
        model: Model,
        cond: Any,
        theta: Float[Array, "batch"],
        w: Float[Array, "batch *shape"],
    ) -> Float[Array, "batch *shape"]:
        """The probability flow dw/dθ, by eq. 2 of the module."""
        t = self.time(theta)
        predicted = model(w / expand(self.scale(t), w), t, cond)
        cosine, sine = expand(jnp.cos(theta), w), expand(jnp.sin(theta), w)
        return cosine * predicted.noise - sine / self.s * predicted.data

    def denoise(
        self,
        theta: Float[Array, ""],
        w: Float[Array, "batch *shape"],
        slope: Float[Array, "batch *shape"],
    ) -> Float[Array, "batch *shape"]:
        """E[x_0 | x_t], the mean of the data, from w and dw/dθ: eq. 3 of the module."""
        return self.s * (w * jnp.cos(theta) - slope * jnp.sin(theta))
