"""Noise that belongs to an example, not to a batch.

The k-th draw of a stream of example i is a function of (key, i, stream, k) alone, so a sample does
not depend on the batch size, on who else is in the batch, or on how many devices share it. What is
drawn for one purpose has a stream of its own, and draws of different purposes never meet.
"""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

Stream = Literal[
    "latent",
    "step",
    "renoise",
    "path",
    "probe",
    "time",
    "perturbation",
    "radius",
    "dequantization",
    "constraint",
]
"""What noise is drawn for. A name's place is its number, so new ones come last."""


def example_keys(key: Key[Array, ""], indices: Int[Array, "batch"]) -> Key[Array, "batch"]:
    """A key for each example: fold_in(key, index)."""
    return jax.vmap(partial(jax.random.fold_in, key))(indices)


def stream(keys: Key[Array, "batch"], name: Stream) -> Key[Array, "batch"]:
    """A key for each example's draws of one purpose: fold_in(key, number of the name).

    Args:
      keys: of the examples.
      name: of the purpose.
    """
    number = get_args(Stream).index(name)
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def normal(
    keys: Key[Array, "batch"], draw: Int[Array, ""] | int, shape: tuple[int, ...]
) -> Float[Array, "batch *shape"]:
    """Standard normal noise, the draw numbered `draw` of each example."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, draw), shape))(keys)


@partial(jax.jit, static_argnames="shape")
def latents(
    key: Key[Array, ""], indices: Int[Array, "batch"], shape: tuple[int, ...]
) -> Float[Array, "batch *shape"]:
    """The standard normal latents [B, *shape] that every sampler starts from.

    Args:
      key: typed key.
      indices: the examples' numbers [B].
      shape: of an example.
    """
    return normal(stream(example_keys(key, indices), "latent"), 0, shape)


def spherical(
    first: Float[Array, "batch *shape"], second: Float[Array, "batch *shape"], num: int
) -> Float[Array, "batch num *shape"]:
    """Latents from one to another along the great circle between them.

    z_k = (sin((1 − f) φ) z_0 + sin(f φ) z_1)/sin φ, f = k/(num − 1), φ the angle between them. All
    have one norm if the ends have, so that all look like noise.

    Args:
      first: z_0 of each row [B, ...].
      second: z_1 of each row [B, ...].
      num: how many latents a row has, both ends included.

    Reference: Shoemake 1985; White 2016.
    """
    axes = tuple(range(1, first.ndim))

    def dot(a: Array, b: Array) -> Array:
        return jnp.sum(a * b, axis=axes, keepdims=True)

    cosine = dot(first, second) / jnp.sqrt(dot(first, first) * dot(second, second))
    angle = jnp.arccos(jnp.clip(cosine, -1.0, 1.0))[:, None]
    fraction = jnp.linspace(0.0, 1.0, num).reshape(1, num, *[1] * len(axes))
    start, end = jnp.sin((1 - fraction) * angle), jnp.sin(fraction * angle)
    # Latents that are the same have no circle, and no other latents between them.
    same = jnp.sin(angle) < 1e-6
    start, end = (
        jnp.where(same, plain, weight / jnp.where(same, 1.0, jnp.sin(angle)))
        for plain, weight in ((1 - fraction, start), (fraction, end))
    )
    return start * first[:, None] + end * second[:, None]


def rademacher(
    keys: Key[Array, "batch"], draw: Int[Array, ""] | int, shape: tuple[int, ...]
) -> Float[Array, "batch *shape"]:
    """Signs ±1 with equal chances, the draw numbered `draw` of each example."""

    def one(key: Array) -> Array:
        return jax.random.rademacher(jax.random.fold_in(key, draw), shape, dtype=float)

    return jax.vmap(one)(keys)


def uniform(
    keys: Key[Array, "batch"], draw: Int[Array, ""] | int, shape: tuple[int, ...]
) -> Float[Array, "batch *shape"]:
    """Noise uniform on [0, 1), the draw numbered `draw` of each example."""
    return jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, draw), shape))(keys)
