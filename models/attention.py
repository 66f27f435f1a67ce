"""Self-attention between the pixels of an image."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers import GroupNorm, Image, add, linear


def attend(
    query: Float[Array, "batch q channels"],
    key: Float[Array, "batch k channels"],
    value: Float[Array, "batch k channels"],
) -> Float[Array, "batch q channels"]:
    """softmax(q kᵀ / √C) v, one head; the softmax in float32."""
    logits = jnp.einsum("bqc,bkc->bqk", query * query.shape[-1] ** -0.5, key)
    weights = jax.nn.softmax(logits.astype(jnp.float32)).astype(value.dtype)
    return jnp.einsum("bqk,bkc->bqc", weights, value)


class Attention(nn.Module):
    """x + A_out softmax(q kᵀ/√C) v, with q, k, v linear in norm(x), over all pixels.

    Args:
      skip_rescale: divide the sum by √2.
      init_scale: of A_out.

    Reference: Ho et al., "Denoising diffusion probabilistic models" (2020), App. B.
    """

    skip_rescale: bool
    init_scale: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image) -> Image:
        batch, height, width, channels = x.shape
        pixels = GroupNorm(name="norm")(x).reshape(batch, height * width, channels)
        # A small start of q, k, v makes the first attention nearly uniform.
        query, key, value = (
            linear(channels, init_scale=0.1, dtype=self.dtype, name=name)(pixels)
            for name in ("query", "key", "value")
        )
        out = linear(channels, init_scale=self.init_scale, dtype=self.dtype, name="out")
        return add(x, out(attend(query, key, value)).reshape(x.shape), self.skip_rescale)
