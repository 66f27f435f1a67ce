"""Transforms: from a model to a model, so that they compose and work with every sampler.

Both data and noise are linear in the score s, with x = α data + σ noise, so that what is added to
the score is added to both of them:

    s' = s + Δ,   noise' = noise − σ Δ,   data' = data + σ²/α Δ                   (1)

and what is mixed of two scores, with weights that sum to 1, is mixed of both of their predictions:

    classifier-free guidance   s' = s(x) + w (s(x | c) − s(x))                    (2)
    classifier guidance        s' = s(x) + w ∇ log p(c | x)                       (3)

The law of s' at w = 1 is p(x | c) for both. Beyond that it is sharper than it, and is not
p(x | c) p(c | x)^{w−1} perturbed, but at t = 0.

An entry of `transforms` is called as entry(model=…, sde=…, **fields) and returns the model.

References: Ho & Salimans 2022 (2); Dhariwal & Nichol 2021, §4 (3); Kynkäänniemi et al. 2024
(intervals of guidance).
"""

import abc
import math
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib import SDE, Condition, Model, Prediction, Pytree, Range, Registry, expand, static
from sde_lib.shapes import States, Time

transforms = Registry("transform", Callable)


class Transform(Pytree, abc.ABC):
    """A model that is made of another one: subclass it for one of your own.

    Args:
      model: the model that is transformed.
      sde: the SDE whose states it is used on.
    """

    model: Model
    sde: SDE

    @abc.abstractmethod
    def __call__(self, x: States, t: Time, cond: Any = None) -> Prediction:
        """The conditional means of data and noise, as of `Model`."""


class Guidance(Transform):
    """Classifier-free guidance: the model with and without its condition, eq. 2 of `transform`.

        null, kept = model(x, t, cond.null), model(x, t, cond)        # in one call
        prediction = null + w * (kept - null)      # of data and noise; w = 1 outside the interval

    The two copies of an example are neighbours in the batch of the call, so that a batch that
    devices share stays where it is.

    Args:
      scale: w; 0 is the model without the condition, 1 with it. A number, or one an example [B].
      low, high: the interval of n = σ/α where there is guidance.

    Reference: Ho & Salimans 2022, eq. 6; Kynkäänniemi et al. 2024 (interval).
    """

    scale: Array | float
    low: Array | float = 0.0
    high: Array | float = math.inf

    def __call__(self, x: States, t: Time, cond: Any = None) -> Prediction:
        """The guided means of data and noise given x [B, ...] at t.

        Raises:
          ValueError: there is no condition.
        """
        if not isinstance(cond, Condition):
            raise ValueError(f"guidance: got condition {cond!r}, takes a Condition")
        t = jnp.asarray(t, dtype=float)
        kept = cond.drop(jnp.ones(cond.num, bool))
        pairs = jax.tree.map(_paired, kept, kept.null)
        both = self.model(_paired(x, x), t if t.ndim == 0 else _paired(t, t), pairs)
        n = self.sde.noise_to_signal(t)
        scale = expand(jnp.where((self.low <= n) & (n <= self.high), self.scale, 1.0), x)

        def mixed(values: Array) -> Array:
            kept, null = jnp.moveaxis(values.reshape(len(x), 2, *x.shape[1:]), 1, 0)
            return null + scale * (kept - null)

        return Prediction(data=mixed(both.data), noise=mixed(both.noise))


def _paired(first: Array, second: Array) -> Array:
    """[2B, ...] from two of [B, ...], the rows of an example side by side."""
    return jnp.stack([first, second], axis=1).reshape(-1, *first.shape[1:])


@transforms.register("guidance")
def guided(
    model: Model,
    sde: SDE,
    *,
    scale: float = 2.0,
    low: Annotated[float, Range(low=0)] = 0.0,
    high: Annotated[float, Range(low=0, infinite=True)] = math.inf,
) -> Model:
    """A model with classifier-free guidance: `Guidance`, or at scale 1 the model itself.

    Args:
      model: the model, trained with conditions of which some were dropped.
      sde: the SDE whose states it is used on.
      scale: w, what the difference that the condition makes is multiplied by.
      low, high: the interval of σ/α where there is guidance.
    """
    if isinstance(scale, int | float) and scale == 1:
        return model
    return Guidance(model=model, sde=sde, scale=scale, low=low, high=high)


class ClassifierGuidance(Transform):
    """Guidance by a classifier of noisy states, eq. 3 of `transform`.

        Δ = w * ∇_x log_prob(x, t, cond)
        noise = noise - σ * Δ
        data = data + σ**2 / α * Δ                      # both as they are where α = 0: no x tells c

    Args:
      log_prob: (x [B, ...], t, cond) → log p(c | x_t) [B], each of its own example; a callable
        pytree, so that its parameters are leaves.
      scale: w; a number, or one an example [B].
      conditional: whether the model gets the condition too.

    Reference: Dhariwal & Nichol 2021, Algorithms 1 and 2.
    """

    log_prob: Callable[..., Array]
    scale: Array | float = 1.0
    conditional: bool = static(default=False)

    def __call__(self, x: States, t: Time, cond: Any = None) -> Prediction:
        """The guided means of data and noise given x [B, ...] at t."""
        data, noise = self.model(x, t, cond if self.conditional else None)
        gradient = jax.grad(lambda x: jnp.sum(self.log_prob(x, t, cond)))(x)
        shift = expand(jnp.asarray(self.scale), x) * gradient
        alpha, sigma = expand(self.sde.alpha(t), x), expand(self.sde.sigma(t), x)
        has_signal = alpha > 0
        shift = jnp.where(has_signal, shift, 0.0)
        gain = sigma**2 / jnp.where(has_signal, alpha, 1.0)
        return Prediction(data=data + gain * shift, noise=noise - sigma * shift)


@transforms.register("classifier_guidance")
def classifier_guided(
    model: Model,
    sde: SDE,
    *,
    log_prob: Callable[..., Array],
    scale: float = 1.0,
    conditional: bool = False,
) -> Model:
    """A model guided by a classifier: `ClassifierGuidance`, or at scale 0 the model itself.

    A classifier that is a plain function is part of the program; a callable pytree, such as a
    `jax.tree_util.Partial`, is an argument of it.

    Args:
      model: the model.
      sde: the SDE whose states it is used on.
      log_prob: (x, t, cond) → log p(c | x_t) [B].
      scale: w, what the classifier's gradient is multiplied by.
      conditional: whether the model gets the condition too.
    """
    if isinstance(scale, int | float) and scale == 0:
        return model
    is_plain = jax.tree_util.all_leaves([log_prob])
    return ClassifierGuidance(
        model=model,
        sde=sde,
        log_prob=jax.tree_util.Partial(log_prob) if is_plain else log_prob,
        scale=scale,
        conditional=conditional,
    )
