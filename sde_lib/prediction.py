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
from sde_lib.shapes import States, Time
from sde_lib.times import value_and_slope


class Prediction(NamedTuple):
    """The conditional means of data and noise given the state x_t.

    Args:
      data: E[x_0 | x_t], [B, ...].
      noise: E[ε | x_t], [B, ...].
    """

    data: Array
    noise: Array


def _curves(sde: SDE, t: Time, x: Array) -> tuple[Array, Array]:
    return expand(sde.alpha(t), x), expand(sde.sigma(t), x)


def _slopes(sde: SDE, t: Time, x: Array) -> tuple[Array, Array]:
    alpha_slope, sigma_slope = (value_and_slope(curve, t)[1] for curve in (sde.alpha, sde.sigma))
    return expand(alpha_slope, x), expand(sigma_slope, x)


def from_data(sde: SDE, x: States, t: Time, data: States) -> Prediction:
    """The prediction of which the data is known: noise = (x − α data)/σ.

    Args:
      sde: the SDE whose α and σ made x.
      x: states [B, ...].
      t: their times, a scalar or [B].
      data: E[x_0 | x_t], [B, ...].

    Returns:
      Data and noise, each [B, ...]; the noise is not finite where σ = 0.
    """
    alpha, sigma = _curves(sde, t, x)
    return Prediction(data=data, noise=(x - alpha * data) / sigma)


def from_noise(sde: SDE, x: States, t: Time, noise: States) -> Prediction:
    """The prediction of which the noise is known: data = (x − σ noise)/α.

    Args:
      sde: the SDE whose α and σ made x.
      x: states [B, ...].
      t: their times, a scalar or [B].
      noise: E[ε | x_t], [B, ...].

    Returns:
      Data and noise, each [B, ...]; the data is not finite where α = 0.
    """
    alpha, sigma = _curves(sde, t, x)
    return Prediction(data=(x - sigma * noise) / alpha, noise=noise)


def from_score(sde: SDE, x: States, t: Time, score: States) -> Prediction:
    """The prediction of which the score is known: noise = −σ score.

    Args:
      sde: the SDE whose α and σ made x.
      x: states [B, ...].
      t: their times, a scalar or [B].
      score: ∇log p_t(x), [B, ...].

    Returns:
      Data and noise, each [B, ...]; the data is not finite where α = 0.
    """
    return from_noise(sde, x, t, -expand(sde.sigma(t), x) * score)


def from_v(sde: SDE, x: States, t: Time, v: States) -> Prediction:
    """The prediction of which v = α noise − σ data is known.

        data = (α x − σ v)/(α² + σ²),   noise = (σ x + α v)/(α² + σ²)

    Args:
      sde: the SDE whose α and σ made x.
      x: states [B, ...].
      t: their times, a scalar or [B].
      v: [B, ...].

    Returns:
      Data and noise, each [B, ...].
    """
    alpha, sigma = _curves(sde, t, x)
    scale = alpha**2 + sigma**2
    return Prediction(data=(alpha * x - sigma * v) / scale, noise=(sigma * x + alpha * v) / scale)


def from_velocity(sde: SDE, x: States, t: Time, velocity: States) -> Prediction:
    """The prediction of which the velocity is known.

    It solves α data + σ noise = x and α' data + σ' noise = velocity.

    Args:
      sde: the SDE whose α and σ made x.
      x: states [B, ...].
      t: their times, a scalar or [B].
      velocity: the probability-flow drift, [B, ...].

    Returns:
      Data and noise, each [B, ...].
    """
    alpha, sigma = _curves(sde, t, x)
    alpha_slope, sigma_slope = _slopes(sde, t, x)
    determinant = alpha * sigma_slope - sigma * alpha_slope
    return Prediction(
        data=(sigma_slope * x - sigma * velocity) / determinant,
        noise=(alpha * velocity - alpha_slope * x) / determinant,
    )


def to_score(sde: SDE, t: Time, prediction: Prediction) -> States:
    """The score of a prediction, ∇log p_t = −noise/σ, [B, ...]."""
    return -prediction.noise / expand(sde.sigma(t), prediction.noise)


def to_v(sde: SDE, t: Time, prediction: Prediction) -> States:
    """The v of a prediction, α noise − σ data, [B, ...]."""
    alpha, sigma = _curves(sde, t, prediction.data)
    return alpha * prediction.noise - sigma * prediction.data


def to_velocity(sde: SDE, t: Time, prediction: Prediction) -> States:
    """The velocity of a prediction, α' data + σ' noise, [B, ...]: the probability-flow drift."""
    alpha_slope, sigma_slope = _slopes(sde, t, prediction.data)
    return alpha_slope * prediction.data + sigma_slope * prediction.noise
