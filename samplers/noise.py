"""Noise that belongs to an example, not to a batch.

The k-th draw of example i is a function of (key, i, k) alone, so a sample does not depend on the
batch size, on who else is in the batch, or on how many devices share it.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

# The draw that makes the latent; the updates of the loop draw at 0, 1, 2, ...
LATENT = 2**31 - 1


def example_keys(key: Array, indices: Array) -> Array:
    """One key per example, fold_in(key, index). indices [B] → [B]."""
    return jax.vmap(partial(jax.random.fold_in, key))(indices)


def normal(keys: Array, draw: Array | int, shape: tuple[int, ...]) -> Array:
    """Standard normal [B, *shape], the draw numbered `draw` of each example. keys [B]."""
    return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, draw), shape))(keys)


@partial(jax.jit, static_argnames="shape")
def latents(key: Array, indices: Array, shape: tuple[int, ...]) -> Array:
    """The standard normal latents [B, *shape] that every sampler starts from.

    Args:
      key: typed key.
      indices: the examples' numbers [B].
      shape: of an example.
    """
    return normal(example_keys(key, indices), LATENT, shape)


def spherical(first: Array, second: Array, num: int) -> Array:
    """`num` latents from one to another along the great circle between them.

    z_k = (sin((1 − f) φ) z_0 + sin(f φ) z_1)/sin φ, f = k/(num − 1), φ the angle between them. Of
    one norm if the ends are, so that all look like noise. [B, ...] → [B, num, ...].

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


def rademacher(keys: Array, draw: Array | int, shape: tuple[int, ...]) -> Array:
    """±1 with equal chances [B, *shape], the draw numbered `draw` of each example. keys [B]."""

    def one(key: Array) -> Array:
        return jax.random.rademacher(jax.random.fold_in(key, draw), shape, dtype=float)

    return jax.vmap(one)(keys)


def uniform(keys: Array, draw: Array | int, shape: tuple[int, ...]) -> Array:
    """Uniform on [0, 1) [B, *shape], the draw numbered `draw` of each example. keys [B]."""
    return jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, draw), shape))(keys)
