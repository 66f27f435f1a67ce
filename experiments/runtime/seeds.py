"""What is drawn from a seed: every whole number from 0 to 2⁶³ − 1 is a seed of its own."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.errors import UserError

LIMIT = 2**63
"""Seeds are below it."""

ORDER, CROPS = 0, 1
"""Streams of `generator`: the order of the examples, and where their images are cropped."""


def check(seed: int, field: str = "seed") -> int:
    """A seed, once its range is checked.

    Raises:
      UserError: it is negative, or 2⁶³ or more.
    """
    if not 0 <= seed < LIMIT:
        raise UserError(f"{field}: got {seed}, takes a whole number from 0 to 2^63 - 1")
    return seed


def key_of(seed: int) -> Array:
    """The typed threefry key whose two words are the seed's.

    `jax.random.key` keeps the lower word alone where 64-bit types are off, and is the same key for
    seeds below 2³².

    Raises:
      UserError: the seed is out of range.
    """
    words = jnp.array([check(seed) >> 32, seed % 2**32], jnp.uint32)
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def generator(seed: int, number: int, stream: int) -> np.random.Generator:
    """NumPy's generator for the part of a stream with this number, an epoch or a step.

    NumPy takes a list of words, and trailing zeros for none: the seed's upper word stands last.

    Args:
      seed: from 0 to 2⁶³ − 1.
      number: from 0 to 2³² − 1.
      stream: `ORDER` or `CROPS`.
    """
    return np.random.default_rng([seed % 2**32, number, stream, seed >> 32])
