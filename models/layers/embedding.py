"""The conditioning of a network: the time, as a real number c, and a class or a vector.

    positional   [sin(ω_k c), cos(ω_k c)],        ω_k = 10^{−4k/(K − s)}, k < K           (1)
    fourier      [sin(2π W_k c), cos(2π W_k c)],  W_k ~ N(0, scale²), drawn once          (2)

(1) suits c = 999 t, (2) suits c = log σ. DDPM and its successors have s = 1; ADM has s = 0, and
the cosines first.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.basic import linear
from models.registry import check_choice
from sde_lib import Condition

EMBEDDINGS = ("positional", "fourier")


def sin_cos(angles: Float[Array, "batch half"]) -> Float[Array, "batch 2*half"]:
    """The sines, then the cosines."""
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def positional_features(
    c: Float[Array, "batch"], dim: int, freq_shift: float = 1.0, cos_first: bool = False
) -> Float[Array, "batch dim"]:
    """Sines and cosines of c, eq. 1 with K = dim/2 frequencies from 1 down to 10⁻⁴ (freq_shift 1).

    Args:
      c: the times.
      dim: features.
      freq_shift: s.
      cos_first: the cosines, then the sines.

    Raises:
      ValueError: dim is odd or below 4, where (1) has no meaning.

    Reference: Vaswani et al., "Attention is all you need" (2017), as used by Ho et al. (2020).
    """
    if dim % 2 or dim < 4:
        raise ValueError(f"positional embedding: got {dim} features, takes an even number from 4")
    exponent = jnp.arange(dim // 2) / (dim // 2 - freq_shift)
    features = sin_cos(c[:, None] * jnp.exp(-math.log(1e4) * exponent))
    return jnp.roll(features, dim // 2, axis=-1) if cos_first else features


class FourierFeatures(nn.Module):
    """Random Fourier features of c, eq. 2 of `embedding`: `num` frequencies, 2 num features.

    The frequencies are a parameter whose gradient is stopped: checkpoints, EMA and imports carry
    them like the rest (the published counts include them), and training leaves them alone. Weight
    decay would not: whoever adds it masks out the name "frequencies".

    Reference: Tancik et al., "Fourier features let networks learn high frequency functions" (2020).
    """

    num: int
    scale: float

    @nn.compact
    def __call__(self, c: Float[Array, "batch"]) -> Float[Array, "batch {2*self.num}"]:
        frequencies = self.param("frequencies", nn.initializers.normal(self.scale), (self.num,))
        return sin_cos(c[:, None] * jax.lax.stop_gradient(frequencies) * 2 * jnp.pi)


class TimeEmbedding(nn.Module):
    """The map from time and condition to the vector e that every block is conditioned on.

        e = silu(A₁ silu(A₀ features(c)) + condition)

    The condition is the row of a class, a linear map of a vector, or nothing; for examples that do
    not keep theirs, a learned null.

    Args:
      embedding: "positional" or "fourier".
      dim: number of frequencies of "fourier", of features of "positional".
      features: width of e.
      fourier_scale: standard deviation of the frequencies W.
      num_classes: how many labels there are; 0 for none.
      cond_dim: features of the vectors that stand in for labels; 0 for none.
      freq_shift: s of "positional".
      cos_first: whether "positional" has the cosines before the sines.
      dtype: what to compute in.

    Raises:
      ValueError: an unknown embedding; a condition that is missing or not expected.
    """

    embedding: str
    dim: int
    features: int
    fourier_scale: float
    num_classes: int = 0
    cond_dim: int = 0
    freq_shift: float = 1.0
    cos_first: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, c: Float[Array, "batch"], cond: Condition | None
    ) -> Float[Array, "batch {self.features}"]:
        check_choice("embedding", self.embedding, EMBEDDINGS)
        if self.embedding == "fourier":
            e = FourierFeatures(self.dim, self.fourier_scale, name="fourier")(c)
        else:
            e = positional_features(c, self.dim, self.freq_shift, self.cos_first)
        e = nn.silu(linear(self.features, dtype=self.dtype, name="dense_0")(e))
        e = linear(self.features, dtype=self.dtype, name="dense_1")(e)
        known = check_condition(cond, self.num_classes, self.cond_dim)
        if known is not None:
            if self.num_classes:
                embed = nn.Embed(self.num_classes, self.features, dtype=self.dtype, name="class")
                given = embed(known.label)
            else:
                given = linear(self.features, dtype=self.dtype, name="cond")(known.vector)
            null = self.param("null", nn.initializers.zeros, (self.features,))
            e = e + kept_or_null(given, known, null.astype(e.dtype))
        return nn.silu(e)


def kept_or_null(
    given: Float[Array, "batch features"], cond: Condition, null: Float[Array, "features"]
) -> Float[Array, "batch features"]:
    """What conditions are embedded as, with the null for the examples that do not keep theirs."""
    return given if cond.keep is None else jnp.where(cond.keep[:, None], given, null)


def check_condition(cond: Condition | None, num_classes: int, cond_dim: int) -> Condition | None:
    """The condition, if it is what the network was made for; None for a network that takes none.

    Args:
      cond: the condition of each example, or None.
      num_classes: labels that it takes; 0 for none.
      cond_dim: features of the vectors that it takes; 0 for none.

    Raises:
      ValueError: it is of another kind or shape, or both kinds are asked for.
    """
    if num_classes and cond_dim:
        raise ValueError(f"cond_dim: got {cond_dim}, takes 0 beside {num_classes} classes")
    takes = f"labels [B] below {num_classes}" if num_classes else "None"
    takes = f"vectors [B, {cond_dim}]" if cond_dim else takes
    if cond is not None and not isinstance(cond, Condition):
        raise ValueError(f"cond: got {_described(cond)}, takes a Condition of {takes}")
    label, vector = (None, None) if cond is None else (cond.label, cond.vector)
    fits_label = (label is not None) == (num_classes > 0)
    if label is not None:
        fits_label &= jnp.issubdtype(label.dtype, jnp.integer) and label.ndim == 1
    fits_vector = (vector is not None) == (cond_dim > 0)
    if vector is not None:
        fits_vector &= jnp.issubdtype(vector.dtype, jnp.floating) and (
            vector.shape[1:] == (cond_dim,)
        )
    if not (fits_label and fits_vector):
        given = [_described(leaf) for leaf in (label, vector) if leaf is not None]
        raise ValueError(f"cond: got {' and '.join(given) or None}, takes {takes}")
    return cond if num_classes or cond_dim else None


def _described(leaf: Any) -> str:
    """The type and shape of an array; of something else, what it is."""
    return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else repr(leaf)
