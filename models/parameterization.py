"""Parameterizations: what a network's output means.

Each turns F, a function of the (scaled) state, into a prediction of data and noise (with
x = α data + σ noise and score = −noise/σ):

    noise         F(x) = noise                           DDPM++; published for VP and sub-VP
    ddpm_noise    F(x) = noise, by DDPM's table of σ     DDPM, trained at a thousand steps
    scaled_score  F(x) = σ score = −noise                NCSN++, divided by σ; published for VE
    smld_score    F(x) = σ score, by SMLD's table of σ   NCSN++, trained at a thousand noises
    score         F(x) = score
    data          F(x) = data
    v             F(x) = α noise − σ data                Salimans & Ho 2022
    velocity      F(x) = α' data + σ' noise              flow matching, Lipman et al. 2023
    edm           with r² = σ² + α² s², s the data's standard deviation,
                    data  = (α s² x/r + σ s F(x/r))/r
                    noise = (σ x/r − α s F(x/r))/r

The last is the preconditioning of Karras et al. 2022 (eq. 7, Table 1: c_in, c_skip and c_out),
written for any affine SDE: input and target of the network have unit variance at every time, so
the same network serves every SDE, and both predictions are finite where α or σ is 0. Of the others
`data`, `v` and `velocity` are finite where α = 0, as in a rectified flow at t = 1; `rounding`
measures it.
"""

import abc
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from models.conditioning import smld_step
from sde_lib import SDE, Prediction, Pytree, Registry, expand, prediction
from sde_lib.shapes import PerExample, States

DDPM_STEPS = 1000

Network = Callable[[Array], Array]
"""State [B, ...] → output [B, ...], with time, condition and parameters bound."""


class Parameterization(Pytree, abc.ABC):
    """What the output F of a network means."""

    @abc.abstractmethod
    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        """The data and the noise that the network's output stands for.

        Args:
          network: F, called once, with x or a multiple of it.
          sde: the SDE whose α and σ made x.
          x: states [B, ...].
          t: times [B].

        Returns:
          Data and noise, each [B, ...].
        """


parameterizations = Registry("parameterization", Parameterization)


@parameterizations.register("noise")
class Noise(Parameterization):
    """The network predicts the noise: F = noise.

    Reference: Ho et al. 2020, eq. 14.
    """

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        return prediction.from_noise(sde, x, t, network(x))


@parameterizations.register("ddpm_noise")
class DDPMNoise(Parameterization):
    """The network predicts the noise of DDPM's thousand steps, whose σ is √(1 − ᾱ_i).

    score = −F/√(1 − ᾱ_i) with i = ⌊999 t⌋: the σ of the discrete chain instead of σ(t). For SDEs
    that shrink the data, f < 0, as VP: any other has no such chain, and 1 − ᾱ = 0.

    Reference: Ho et al. 2020, eq. 4; Song et al. 2021, App. B and C.
    """

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        steps = jnp.clip(jnp.floor((DDPM_STEPS - 1) * t), 0, DDPM_STEPS - 1).astype(int)
        ratio = sde.sigma(t) / ddpm_sigmas(sde)[steps]
        return prediction.from_noise(sde, x, t, expand(ratio, x) * network(x))


def ddpm_sigmas(sde: SDE) -> Array:
    """The noise σ_i of DDPM's N = 1000 steps, √(1 − ᾱ_i) with ᾱ_i = ∏_{j ≤ i} (1 − β_j), [N].

    β_j = −2 f(j/(N − 1))/N is linspace(β_min, β_max)/N for VP. Where f has no bound (α(1) = 0) it
    stops at 0.999, as in Nichol & Dhariwal 2021.
    """
    drift = sde.drift_coefficient(jnp.linspace(0.0, 1.0, DDPM_STEPS))
    betas = jnp.clip(-2 * drift / DDPM_STEPS, 0.0, 0.999)
    return jnp.sqrt(-jnp.expm1(jnp.cumsum(jnp.log1p(-betas))))


@parameterizations.register("scaled_score")
class ScaledScore(Parameterization):
    """The network predicts the score times σ: F = σ score = −noise.

    Reference: Song & Ermon 2020, Technique 3.
    """

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        return prediction.from_noise(sde, x, t, -network(x))


@parameterizations.register("smld_score")
class SMLDScore(Parameterization):
    """The network predicts the score times the nearest of SMLD's thousand σ.

    score = F/σ_i with i = round(999 (1 − t)) and σ_i = σ(1 − i/999). For SDEs with noise at t = 0,
    as VE: any other has σ_999 = 0.

    Reference: Song and Ermon, "Generative modeling by estimating gradients of the data
    distribution" (2019), §4.2; Song et al. 2021, App. C and H.
    """

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        # Not 1 − i/999, which compiled is not 0 at the last: its σ of 0 is to give infinity.
        ratio = sde.sigma(t) / sde.sigma((999 - smld_step(sde, t)) / 999)
        return prediction.from_noise(sde, x, t, -expand(ratio, x) * network(x))


@parameterizations.register("score")
class Score(Parameterization):
    """The network predicts the score: F = ∇ log p_t(x)."""

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        return prediction.from_score(sde, x, t, network(x))


@parameterizations.register("data")
class Data(Parameterization):
    """The network predicts the data: F = E[x_0 | x_t]."""

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        return prediction.from_data(sde, x, t, network(x))


@parameterizations.register("v")
class V(Parameterization):
    """The network predicts v: F = α noise − σ data.

    Reference: Salimans & Ho 2022, §4.
    """

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        return prediction.from_v(sde, x, t, network(x))


@parameterizations.register("velocity")
class Velocity(Parameterization):
    """The network predicts the velocity of the probability flow: F = α' data + σ' noise.

    Reference: Lipman et al. 2023, eq. 9.
    """

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        return prediction.from_velocity(sde, x, t, network(x))


@parameterizations.register("edm")
class EDM(Parameterization):
    """The network predicts a mix of data and noise that has unit variance, as its input has.

    The last of the equations above.

    Args:
      data_std: s, the standard deviation of the data in model units.

    Reference: Karras et al. 2022, eq. 7.
    """

    data_std: float = 0.5

    def __call__(self, network: Network, sde: SDE, x: States, t: PerExample) -> Prediction:
        alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
        scale = jnp.sqrt(sigma**2 + (alpha * self.data_std) ** 2)
        unit = x / scale
        output = network(unit)
        return Prediction(
            data=(alpha * self.data_std**2 * unit + sigma * self.data_std * output) / scale,
            noise=(sigma * unit - alpha * self.data_std * output) / scale,
        )


def rounding(parameterization: Parameterization, sde: SDE, t: Array, data_std: float) -> Array:
    """The share of a prediction that is rounding, in the worse of data and noise.

    A state of standard deviation r = √(α² s² + σ²) is rounded to float32, by 6e-8 of it. The share
    is the change of the data, over s, or of the noise, while the network's output stays 1.

    Args:
      parameterization: how data and noise are made of the network's output.
      sde: the SDE.
      t: times [T].
      data_std: s.

    Returns:
      [T]; infinite where a prediction is not finite.
    """
    r = jnp.hypot(sde.alpha(t) * data_std, sde.sigma(t))[:, None]
    ulp = r * jnp.finfo(jnp.float32).eps / 2

    def predict(x: Array) -> Array:
        predicted = parameterization(jnp.ones_like, sde, x, t)
        return jnp.concatenate([predicted.data / data_std, predicted.noise], axis=1)

    value, change = jax.jvp(predict, (r,), (ulp,))
    return jnp.max(jnp.where(jnp.isfinite(value + change), jnp.abs(change), jnp.inf), axis=1)
