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
written for any affine SDE: the network sees input and target of unit variance at every time, so
the same network serves every SDE, and both predictions are finite where α or σ is 0. Of the others
`data`, `v` and `velocity` are where α = 0, as in a rectified flow at t = 1; `rounding` tells.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from models.conditioning import smld_step
from sde_lib import SDE, Prediction, Registry, expand, prediction

parameterizations = Registry("parameterization", Callable)

DDPM_STEPS = 1000

Network = Callable[[Array], Array]
"""State [B, ...] → output [B, ...], with time, condition and parameters bound."""


@parameterizations.register("noise")
def noise(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """F = noise."""
    del data_std
    return prediction.from_noise(sde, x, t, network(x))


@parameterizations.register("ddpm_noise")
def ddpm_noise(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """score = −F/√(1 − ᾱ_i), i = ⌊999 t⌋: the σ of the discrete chain instead of σ(t).

    For SDEs that shrink the data, f < 0, as VP: any other has no such chain, and 1 − ᾱ = 0.

    Reference: Ho et al. 2020, eq. 4; Song et al. 2021, App. B and C.
    """
    del data_std
    steps = jnp.clip(jnp.floor((DDPM_STEPS - 1) * t), 0, DDPM_STEPS - 1).astype(int)
    ratio = sde.sigma(t) / ddpm_sigmas(sde)[steps]
    return prediction.from_noise(sde, x, t, expand(ratio, x) * network(x))


def ddpm_sigmas(sde: SDE) -> Array:
    """√(1 − ᾱ_i), ᾱ_i = ∏_{j ≤ i} (1 − β_j), of DDPM's N = 1000 steps, [N].

    β_j = −2 f(j/(N − 1))/N is linspace(β_min, β_max)/N for VP. Where f has no bound (α(1) = 0) it
    stops at 0.999, as in Nichol & Dhariwal 2021.
    """
    drift = sde.drift_coefficient(jnp.linspace(0.0, 1.0, DDPM_STEPS))
    betas = jnp.clip(-2 * drift / DDPM_STEPS, 0.0, 0.999)
    return jnp.sqrt(-jnp.expm1(jnp.cumsum(jnp.log1p(-betas))))


@parameterizations.register("scaled_score")
def scaled_score(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """F = σ score."""
    del data_std
    return prediction.from_noise(sde, x, t, -network(x))


@parameterizations.register("smld_score")
def smld_score(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """score = F/σ_i, i = round(999 (1 − t)), σ_i = σ(1 − i/999): the noise nearest to σ(t).

    For SDEs with noise at t = 0, as VE: any other has σ_999 = 0.

    Reference: Song and Ermon, "Generative modeling by estimating gradients of the data
    distribution" (2019), §4.2; Song et al. 2021, App. C and H.
    """
    del data_std
    # Not 1 − i/999, which compiled is not 0 at the last: its σ of 0 is to give infinity.
    ratio = sde.sigma(t) / sde.sigma((999 - smld_step(sde, t)) / 999)
    return prediction.from_noise(sde, x, t, -expand(ratio, x) * network(x))


@parameterizations.register("score")
def score(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """F = score."""
    del data_std
    return prediction.from_score(sde, x, t, network(x))


@parameterizations.register("data")
def data(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """F = data."""
    del data_std
    return prediction.from_data(sde, x, t, network(x))


@parameterizations.register("v")
def v(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """F = α noise − σ data."""
    del data_std
    return prediction.from_v(sde, x, t, network(x))


@parameterizations.register("velocity")
def velocity(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """F = α' data + σ' noise."""
    del data_std
    return prediction.from_velocity(sde, x, t, network(x))


@parameterizations.register("edm")
def edm(network: Network, sde: SDE, x: Array, t: Array, data_std: float) -> Prediction:
    """F of unit variance, from an input of unit variance."""
    alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
    scale = jnp.sqrt(sigma**2 + (alpha * data_std) ** 2)
    unit = x / scale
    output = network(unit)
    return Prediction(
        data=(alpha * data_std**2 * unit + sigma * data_std * output) / scale,
        noise=(sigma * unit - alpha * data_std * output) / scale,
    )


def rounding(name: str, sde: SDE, t: Array, data_std: float) -> Array:
    """How much of a prediction is rounding, in the worse of data and noise.

    What rounding a state of standard deviation r = √(α² s² + σ²) to float32, 6e-8 of it, changes in
    the data, over s, or in the noise; the network's output stays 1.

    Args:
      name: of the parameterization.
      sde: the SDE.
      t: times [T].
      data_std: s.

    Returns:
      [T]; infinite where a prediction is not finite.
    """
    r = jnp.hypot(sde.alpha(t) * data_std, sde.sigma(t))[:, None]
    ulp = r * jnp.finfo(jnp.float32).eps / 2

    def predict(x: Array) -> Array:
        predicted = parameterizations[name](jnp.ones_like, sde, x, t, data_std)
        return jnp.concatenate([predicted.data / data_std, predicted.noise], axis=1)

    value, change = jax.jvp(predict, (r,), (ulp,))
    return jnp.max(jnp.where(jnp.isfinite(value + change), jnp.abs(change), jnp.inf), axis=1)
