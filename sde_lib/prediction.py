"""What a network may predict, and the conversions between the forms.

With x_t = α data + σ noise, each of these determines the others given (x_t, t):

    data      E[x_0 | x_t]
    noise     E[ε | x_t] = (x_t − α data)/σ
    score     ∇log p_t(x_t) = −noise/σ
    v         α noise − σ data
    velocity  α' data + σ' noise, the probability-flow drift

A `Prediction` holds data and noise, both, because each is ill-conditioned from the other at one end
of time: noise from data where σ → 0, data from noise where α → 0.

References: Song et al. 2021; Salimans & Ho 2022 (v); Lipman et al. 2023 (velocity).
"""

from typing import NamedTuple

from jax import Array

from sde_lib.sde import SDE, expand
from sde_lib.times import Time, value_and_slope


class Prediction(NamedTuple):
    """The conditional means of data and noise given x_t, each [B, ...]."""

    data: Array
    noise: Array


def _curves(sde: SDE, t: Time, x: Array) -> tuple[Array, Array]:
    return expand(sde.alpha(t), x), expand(sde.sigma(t), x)


def _slopes(sde: SDE, t: Time, x: Array) -> tuple[Array, Array]:
    alpha_slope, sigma_slope = (value_and_slope(curve, t)[1] for curve in (sde.alpha, sde.sigma))
    return expand(alpha_slope, x), expand(sigma_slope, x)


def from_data(sde: SDE, x: Array, t: Time, data: Array) -> Prediction:
    """noise = (x − α data)/σ. x and data [B, ...]."""
    alpha, sigma = _curves(sde, t, x)
    return Prediction(data=data, noise=(x - alpha * data) / sigma)


def from_noise(sde: SDE, x: Array, t: Time, noise: Array) -> Prediction:
    """data = (x − σ noise)/α. x and noise [B, ...]."""
    alpha, sigma = _curves(sde, t, x)
    return Prediction(data=(x - sigma * noise) / alpha, noise=noise)


def from_score(sde: SDE, x: Array, t: Time, score: Array) -> Prediction:
    """noise = −σ score. x and score [B, ...]."""
    return from_noise(sde, x, t, -expand(sde.sigma(t), x) * score)


def from_v(sde: SDE, x: Array, t: Time, v: Array) -> Prediction:
    """data = (α x − σ v)/(α² + σ²), noise = (σ x + α v)/(α² + σ²). x and v [B, ...]."""
    alpha, sigma = _curves(sde, t, x)
    scale = alpha**2 + sigma**2
    return Prediction(data=(alpha * x - sigma * v) / scale, noise=(sigma * x + alpha * v) / scale)


def from_velocity(sde: SDE, x: Array, t: Time, velocity: Array) -> Prediction:
    """The solution of α data + σ noise = x, α' data + σ' noise = velocity. x, velocity [B, ...]."""
    alpha, sigma = _curves(sde, t, x)
    alpha_slope, sigma_slope = _slopes(sde, t, x)
    determinant = alpha * sigma_slope - sigma * alpha_slope
    return Prediction(
        data=(sigma_slope * x - sigma * velocity) / determinant,
        noise=(alpha * velocity - alpha_slope * x) / determinant,
    )


def to_score(sde: SDE, t: Time, prediction: Prediction) -> Array:
    """∇log p_t = −noise/σ."""
    return -prediction.noise / expand(sde.sigma(t), prediction.noise)


def to_v(sde: SDE, t: Time, prediction: Prediction) -> Array:
    """α noise − σ data."""
    alpha, sigma = _curves(sde, t, prediction.data)
    return alpha * prediction.noise - sigma * prediction.data


def to_velocity(sde: SDE, t: Time, prediction: Prediction) -> Array:
    """α' data + σ' noise, which is the probability-flow drift (6) of `sde`."""
    alpha_slope, sigma_slope = _slopes(sde, t, prediction.data)
    return alpha_slope * prediction.data + sigma_slope * prediction.noise
