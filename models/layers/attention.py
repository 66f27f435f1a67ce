"""Self-attention between the pixels of an image, or the tokens of a sequence."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.basic import GroupNorm, Image, add, fan_average, linear

IMPLEMENTATIONS = ("xla", "cudnn")
"""How attention is computed. "cudnn" is fused, for GPUs in bfloat16, and has no forward-mode
derivative."""


Heads = Float[Array, "batch tokens heads channels"]


def split_heads(
    qkv: Float[Array, "batch tokens features"], heads: int
) -> tuple[Heads, Heads, Heads]:
    """Queries, keys and values by heads, from the three side by side."""
    split = (*qkv.shape[:2], heads, -1)
    query, key, value = (part.reshape(split) for part in jnp.split(qkv, 3, axis=-1))
    return query, key, value


def attend(query: Heads, key: Heads, value: Heads, implementation: str) -> Array:
    """Attention softmax(q kᵀ/√d) v by heads of d channels each; the softmax in float32.

    Args:
      query: by heads, as from `split_heads`.
      key: likewise.
      value: likewise.
      implementation: one of `IMPLEMENTATIONS`.

    Returns:
      [batch, tokens, heads · d], head by head.

    Reference: Vaswani et al., "Attention is all you need" (2017), eq. 1.
    """
    fused: Literal["cudnn", "xla"] = "cudnn" if implementation == "cudnn" else "xla"
    out = jax.nn.dot_product_attention(query, key, value, implementation=fused)
    return out.reshape(*out.shape[:2], -1)


def num_heads(channels: int, head_dim: int) -> int:
    """The number of heads of `head_dim` channels.

    Raises:
      ValueError: head_dim does not divide the channels.
    """
    if head_dim < 1 or channels % head_dim:
        raise ValueError(f"head_dim: got {head_dim}, takes a divisor of the {channels} channels")
    return channels // head_dim


def thrice(init: nn.initializers.Initializer) -> nn.initializers.Initializer:
    """Three square matrices side by side, each drawn as alone."""

    def draw(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
        single = (shape[0], shape[1] // 3)
        return jnp.concatenate([init(k, single, dtype) for k in jax.random.split(key, 3)], axis=1)

    return draw


class Attention(nn.Module):
    """Self-attention over all pixels: x + A_out softmax(q kᵀ/√d) v, with q, k, v linear in norm(x).

    Queries, keys and values are one matrix product.

    Args:
      head_dim: channels of a head; 0 for one head of all.
      skip_rescale: divide the sum by √2.
      init_scale: of A_out.
      norm_groups: of the normalisation; None for those of NCSN++, 0 for no normalisation.
      norm_epsilon: its ε.
      attention: how it is computed, one of `IMPLEMENTATIONS`.
      dtype: what to compute in.

    Raises:
      ValueError: head_dim does not divide the channels.

    Reference: Ho et al., "Denoising diffusion probabilistic models" (2020), App. B.
    """

    head_dim: int = 0
    skip_rescale: bool = False
    init_scale: float = 0.0
    norm_groups: int | None = None
    norm_epsilon: float = 1e-6
    attention: str = "xla"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image) -> Image:
        batch, height, width, channels = x.shape
        normed = x
        if self.norm_groups != 0:
            normed = GroupNorm(self.norm_groups, self.norm_epsilon, name="norm")(x)
        pixels = normed.reshape(batch, height * width, channels)
        # A small start of q, k, v makes the first attention nearly uniform.
        init = thrice(fan_average(0.1))
        qkv = nn.Dense(3 * channels, kernel_init=init, dtype=self.dtype, name="qkv")(pixels)
        heads = split_heads(qkv, num_heads(channels, self.head_dim or channels))
        attended = attend(*heads, implementation=self.attention)
        out = linear(channels, init_scale=self.init_scale, dtype=self.dtype, name="out")
        return add(x, out(attended).reshape(x.shape), self.skip_rescale)
