"""Batch normalisation as it is after training: by fixed moments."""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from models.layers.basic import Image

Map = Float[Array, "batch rows columns features"]
"""What a layer makes of an image [B, H, W, C]."""


class FixedNorm(nn.Module):
    """The normalisation (x − mean)/√(var + ε) · scale + bias of each channel, by its parameters.

    Args:
      epsilon: ε.

    Reference: Ioffe and Szegedy, "Batch normalization" (2015), Alg. 2.
    """

    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x: Image) -> Image:
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.param("mean", nn.initializers.zeros, shape)
        var = self.param("var", nn.initializers.ones, shape)
        return (x - mean) * (lax.rsqrt(var + self.epsilon) * scale) + jnp.asarray(bias)
