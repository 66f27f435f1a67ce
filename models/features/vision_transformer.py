"""A vision transformer as DINOv2 has it: layer scales, and positions of any grid.

With x the patches' and the class token's vectors, each block is

    x ← x + γ₁ ⊙ attention(norm(x)),      x ← x + γ₂ ⊙ W₂ gelu(W₁ norm(x))               (1)

and the features are the class token after a last norm. Positions were learned for a grid of N × N
patches. For a grid of n × n, position i of it lies at

    u = (i + ½) N/(n + 0.1) − ½                                                          (2)

of the old one, and takes from the four neighbours there by Keys's cubic kernel with a = −¾, those
beyond the border being the nearest inside. (The tenth is the published models' own: it once kept
n from being rounded down, and moves the positions.)

Reference: Oquab et al., "DINOv2" (2023), Table 17; Dosovitskiy et al., "An image is worth 16×16
words" (2020); Touvron et al., "Going deeper with image transformers" (2021), for γ; Keys, "Cubic
convolution interpolation" (1981).
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from models.layers.basic import Image

_SHIFT = 0.1
_CUBIC = -0.75


class VisionTransformer(nn.Module):
    """The class token of images [B, H, W, 3], whose sides are multiples of the patch's.

    Args:
      dim: numbers of a token.
      depth: blocks.
      num_heads: of the attention.
      patch: side of a patch, in pixels.
      grid: N, patches a side that the positions were learned for.
    """

    dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    patch: int = 14
    grid: int = 37

    @nn.compact
    def __call__(self, x: Image) -> Float[Array, "batch {self.dim}"]:
        normal = nn.initializers.normal(0.02)
        side = (self.patch, self.patch)
        h = nn.Conv(self.dim, side, strides=side, padding="VALID", name="patches")(x)
        rows, columns = h.shape[1:3]
        h = h.reshape(len(x), -1, self.dim)
        first = self.param("class_token", normal, (1, 1, self.dim))
        h = jnp.concatenate([jnp.broadcast_to(first, (len(x), 1, self.dim)), h], axis=1)
        positions = self.param("positions", normal, (1, 1 + self.grid**2, self.dim))
        h = h + positions_on(positions, (rows, columns))
        for number in range(self.depth):
            h = Block(self.num_heads, name=f"block_{number}")(h)
        return nn.LayerNorm(epsilon=1e-6, name="norm")(h[:, 0])


class Block(nn.Module):
    """Attention and a perceptron, eq. 1 of `vision_transformer`."""

    num_heads: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch tokens dim"]) -> Float[Array, "batch tokens dim"]:
        dim = x.shape[-1]
        h = nn.LayerNorm(epsilon=1e-6, name="norm_1")(x)
        qkv = nn.Dense(3 * dim, name="qkv")(h).reshape(*h.shape[:2], 3, self.num_heads, -1)
        h = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0))
        x = x + LayerScale(name="scale_1")(nn.Dense(dim, name="out")(h.reshape(x.shape)))
        h = nn.LayerNorm(epsilon=1e-6, name="norm_2")(x)
        h = nn.gelu(nn.Dense(4 * dim, name="dense_1")(h), approximate=False)
        return x + LayerScale(name="scale_2")(nn.Dense(dim, name="dense_2")(h))


class LayerScale(nn.Module):
    """γ ⊙ x."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch tokens dim"]) -> Float[Array, "batch tokens dim"]:
        return x * self.param("gamma", nn.initializers.ones, x.shape[-1:])


def positions_on(
    positions: Float[Array, "1 tokens dim"], shape: tuple[int, int]
) -> Float[Array, "1 tokens_ dim"]:
    """Positions of a class token and a square grid, as another grid has them; eq. 2."""
    side = math.isqrt(positions.shape[1] - 1)
    if shape == (side, side):
        return positions
    grid = positions[0, 1:].reshape(side, side, -1)
    down, across = (jnp.asarray(cubic_weights(side, n)) for n in shape)
    moved = jnp.einsum("ij,kl,jld->ikd", down, across, grid)
    return jnp.concatenate([positions[:, :1], moved.reshape(1, shape[0] * shape[1], -1)], axis=1)


def cubic_weights(num: int, wanted: int) -> np.ndarray:
    """What each of `wanted` new positions takes of each of `num` old ones, [wanted, num]."""
    u = (np.arange(wanted) + 0.5) * num / (wanted + _SHIFT) - 0.5
    weights = np.zeros((wanted, num))
    for step in range(-1, 3):
        place = np.floor(u) + step
        near = place.clip(0, num - 1).astype(int)
        np.add.at(weights, (np.arange(wanted), near), _kernel(np.abs(u - place)))
    return weights.astype(np.float32)


def _kernel(distance: np.ndarray) -> np.ndarray:
    """Keys's cubic kernel at distances up to 2."""
    a, d = _CUBIC, distance
    inner = ((a + 2) * d - (a + 3)) * d**2 + 1
    outer = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, inner, outer)
