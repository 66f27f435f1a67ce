"""Forms of the probability flow: in each, an affine SDE's flow is a plain integral.

    dw/dM = d,   w = c x,   d = a_d data + a_ε noise

    form       w                 M               d                                    n = σ/α
    noise      x/α               n               noise                                (1)
    data       x/σ               1/n             data                                 (2)
    velocity   x/√(s²α² + σ²)    arctan(n/s)     cos M noise − sin M data/s           (3)
    rectified  s x/(sα + σ)      n/(s + n)       s noise − data                       (4)

M is the variable of integration. (1) is finite at the data end alone, (2) at the noise end, (3) and
(4) at both; s is the scale of the data. With λ = −log n, half the log-SNR, each M is a function of
λ alone.

References: Song et al. 2021 "DDIM" (1); Lu et al. 2022 "DPM-Solver++" (2); Salimans & Ho 2022 (3);
Lipman et al. 2023, Liu et al. 2023 (4).
"""

import abc

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from samplers.coordinates.angle import Angle
from sde_lib import SDE, Pytree, Registry

forms = Registry("form")


class Form(Pytree, abc.ABC):
    """A way to write the probability flow as an integral: one row of the table of `forms`.

    Args:
      s: the scale of the data, where it enters.
    """

    s: Array | float = 0.5

    @abc.abstractmethod
    def scale(self, sde: SDE, t: Float[Array, "*times"]) -> Float[Array, "*times"]:
        """The factor c of the state, w = c x; infinite where the form is."""

    @abc.abstractmethod
    def variable(self, half_log_snr: Float[Array, "*times"]) -> Float[Array, "*times"]:
        """The variable of integration, M(λ); infinite where the form is."""

    @abc.abstractmethod
    def half_log_snr(self, variable: Float[Array, "*times"]) -> Float[Array, "*times"]:
        """λ(M), the inverse of `variable`."""

    @abc.abstractmethod
    def derivative(self, sde: SDE, t: Float[Array, "*times"]) -> Float[Array, "*times 2"]:
        """The coefficients (a_d, a_ε) of the derivative dw/dM."""


@forms.register("noise")
class NoiseForm(Form):
    """The flow as an integral of the noise, eq. 1 of `forms`."""

    def scale(self, sde: SDE, t: Array) -> Array:
        """1/α."""
        return 1 / sde.alpha(t)

    def variable(self, half_log_snr: Array) -> Array:
        """n."""
        return jnp.exp(-half_log_snr)

    def half_log_snr(self, variable: Array) -> Array:
        """−log n."""
        return -jnp.log(variable)

    def derivative(self, sde: SDE, t: Array) -> Array:
        """The noise."""
        del sde
        return jnp.stack([jnp.zeros_like(t), jnp.ones_like(t)], axis=-1)


@forms.register("data")
class DataForm(Form):
    """The flow as an integral of the data, eq. 2 of `forms`."""

    def scale(self, sde: SDE, t: Array) -> Array:
        """1/σ."""
        return 1 / sde.sigma(t)

    def variable(self, half_log_snr: Array) -> Array:
        """1/n."""
        return jnp.exp(half_log_snr)

    def half_log_snr(self, variable: Array) -> Array:
        """log 1/n."""
        return jnp.log(variable)

    def derivative(self, sde: SDE, t: Array) -> Array:
        """The data."""
        del sde
        return jnp.stack([jnp.ones_like(t), jnp.zeros_like(t)], axis=-1)


@forms.register("velocity")
class VelocityForm(Form):
    """The flow as an integral of the velocity of an angle (`angle`), eq. 3 of `forms`."""

    def scale(self, sde: SDE, t: Array) -> Array:
        """1/√(s²α² + σ²)."""
        return Angle(sde, self.s).scale(t)

    def variable(self, half_log_snr: Array) -> Array:
        """arctan(n/s)."""
        return jnp.arctan2(jnp.ones_like(half_log_snr), self.s * jnp.exp(half_log_snr))

    def half_log_snr(self, variable: Array) -> Array:
        """−log(s tan M)."""
        return -jnp.log(self.s * jnp.tan(variable))

    def derivative(self, sde: SDE, t: Array) -> Array:
        """(−sin M/s, cos M)."""
        alpha, sigma = self.s * sde.alpha(t), sde.sigma(t)
        length = jnp.hypot(alpha, sigma)
        return jnp.stack([-sigma / length / self.s, alpha / length], axis=-1)


@forms.register("rectified")
class RectifiedForm(Form):
    """The flow as an integral of the velocity of a rectified flow, eq. 4 of `forms`."""

    def scale(self, sde: SDE, t: Array) -> Array:
        """s/(sα + σ)."""
        return self.s / (self.s * sde.alpha(t) + sde.sigma(t))

    def variable(self, half_log_snr: Array) -> Array:
        """n/(s + n)."""
        return 1 / (1 + self.s * jnp.exp(half_log_snr))

    def half_log_snr(self, variable: Array) -> Array:
        """−log(s M/(1 − M))."""
        return jnp.log((1 - variable) / (self.s * variable))

    def derivative(self, sde: SDE, t: Array) -> Array:
        """(−1, s)."""
        del sde
        return jnp.stack([-jnp.ones_like(t), self.s * jnp.ones_like(t)], axis=-1)
