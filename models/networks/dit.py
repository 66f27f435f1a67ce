"""The diffusion transformer: attention between the patches of an image.

    h = A x + positions                    x the patches, h the tokens                      (1)
    h ← h + g₁ attention((1 + s₁) LN(h) + b₁)                                               (2)
    h ← h + g₂ A₁ gelu(A₀ ((1 + s₂) LN(h) + b₂))                                            (3)
    y = A ((1 + s) LN(h) + b)              back to patches                                  (4)

The shifts b, scales s and gates g are linear in the embedding e of time and condition. These maps
and the last start at zero ("adaLN-zero"): each block is the identity at first, and the output 0.

As published, with patches of 2 × 2 of 32 × 32 latents:

                   width    depth    head_dim    parameters
    DiT-S/2          384       12          64          33 M
    DiT-B/2          768       12          64         130 M
    DiT-L/2         1024       24          64         458 M
    DiT-XL/2        1152       28          72         675 M

On the embedded digits:

    scoresde train --config=digits --config.model.name=dit --config.model.width=96 \\
      --config.model.depth=4 --config.model.head_dim=32 --config.training.learning_rate=1e-3
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.attention import IMPLEMENTATIONS, Heads, attend, num_heads, split_heads
from models.layers.basic import STACKED, Embedding, Image, layer_of, linear
from models.layers.embedding import EMBEDDINGS, TimeEmbedding, sin_cos
from models.registry import check_choices, networks
from sde_lib import Condition, ranged

Tokens = Float[Array, "batch tokens width"]

# Of the time, before the first linear map.
FEATURES = 256


def to_patches(x: Image, size: int) -> Array:
    """[B, H, W, C] → [B, H/size · W/size, size² C], row by row."""
    batch, height, width, channels = x.shape
    grid = x.reshape(batch, height // size, size, width // size, size, channels)
    return grid.swapaxes(2, 3).reshape(batch, -1, size * size * channels)


def from_patches(patches: Array, shape: tuple[int, ...], size: int) -> Array:
    """The inverse of `to_patches`, for images of `shape`."""
    batch, height, width, channels = shape
    grid = patches.reshape(batch, height // size, width // size, size, size, channels)
    return grid.swapaxes(2, 3).reshape(shape)


def axial_angles(
    rows: int, columns: int, num: int, base: float
) -> tuple[Float[Array, "tokens num"], Float[Array, "tokens num"]]:
    """i ω_k and j ω_k of the token in row i and column j, with ω_k = base^{−k/num}, k < num."""
    omega = base ** (-jnp.arange(num) / num)
    i, j = (index.reshape(-1, 1) for index in jnp.indices((rows, columns)))
    return i * omega, j * omega


def sincos_positions(rows: int, columns: int, width: int) -> Float[Array, "tokens width"]:
    """sin, cos of j ω_k, then of i ω_k, for the token in row i and column j, as published.

    Raises:
      ValueError: a width that is no multiple of 4.

    Reference: Peebles and Xie (2023), §3.2; Vaswani et al. (2017), §3.5.
    """
    if width % 4:
        raise ValueError(f"width: got {width}, takes a multiple of 4 with positions 'sincos'")
    of_row, of_column = axial_angles(rows, columns, width // 4, 1e4)
    return jnp.concatenate([sin_cos(of_column), sin_cos(of_row)], axis=-1)


def rotary_angles(rows: int, columns: int, head_dim: int) -> Float[Array, "tokens half"]:
    """By how much `rotate` turns each pair of channels: half of them by the row, half by column.

    Raises:
      ValueError: a head_dim that is no multiple of 4.

    Reference: Heo et al., "Rotary position embedding for vision transformer" (2024), eq. 8–9.
    """
    if head_dim % 4:
        raise ValueError(f"head_dim: got {head_dim}, takes a multiple of 4 with positions 'rope'")
    return jnp.concatenate(axial_angles(rows, columns, head_dim // 4, 100.0), axis=-1)


def rotate(x: Heads, angles: Float[Array, "tokens half"]) -> Array:
    """Turn the pair of channel k and channel k + half by angle k, in float32.

    Then qᵀk of two tokens depends on where they are by their distance alone.

    Reference: Su et al., "RoFormer" (2021), eq. 14.
    """
    cos, sin = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
    a, b = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1).astype(x.dtype)


def modulations(e: Embedding, number: int, width: int, dtype: Any) -> list[Array]:
    """A number of linear maps of e, [B, 1, width] each, that start at zero."""
    dense = nn.Dense(number * width, kernel_init=nn.initializers.zeros, dtype=dtype, name="adaln")
    return jnp.split(dense(e)[:, None], number, axis=-1)


def adaptive_norm(h: Tokens, scale: Array, shift: Array) -> Array:
    """Layer normalisation with scale and shift: (1 + scale) LN(h) + shift; moments in float32."""
    full = h.astype(jnp.float32)
    centred = full - full.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return ((1 + scale) * centred * jax.lax.rsqrt(variance + 1e-6) + shift).astype(h.dtype)


class DiTBlock(nn.Module):
    """A block of the transformer, eq. 2 and 3 of `dit`, with the fields of `DiT`.

    Queries and keys are rotated by the angles.
    """

    head_dim: int
    mlp_ratio: float
    qk_norm: bool
    dropout: float
    attention: str
    train: bool
    dtype: Any

    @nn.compact
    def __call__(self, h: Tokens, e: Embedding, angles: Array | None) -> tuple[Array, None]:
        width = h.shape[-1]
        shift1, scale1, gate1, shift2, scale2, gate2 = modulations(e, 6, width, self.dtype)
        h = h + gate1 * self._attend(adaptive_norm(h, scale1, shift1), angles)
        wide = linear(int(self.mlp_ratio * width), dtype=self.dtype, name="mlp_0")
        hidden = nn.gelu(wide(adaptive_norm(h, scale2, shift2)), approximate=True)
        hidden = nn.Dropout(self.dropout, deterministic=not self.train)(hidden)
        return h + gate2 * linear(width, dtype=self.dtype, name="mlp_1")(hidden), None

    def _attend(self, h: Tokens, angles: Array | None) -> Array:
        width = h.shape[-1]
        qkv = linear(3 * width, dtype=self.dtype, name="qkv")(h)
        query, key, value = split_heads(qkv, num_heads(width, self.head_dim))
        if self.qk_norm:
            query = nn.RMSNorm(dtype=self.dtype, name="query_norm")(query)
            key = nn.RMSNorm(dtype=self.dtype, name="key_norm")(key)
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        attended = attend(query, key, value, self.attention)
        return linear(width, dtype=self.dtype, name="attention_out")(attended)


@networks.register("dit")
class DiT(nn.Module):
    """Transformer of the patches of an image x, conditioned on a number c that stands for the time.

    The blocks are one program, scanned over their stacked parameters.

    Args:
      width: features of a token.
      depth: blocks.
      head_dim: features of a head of the attention.
      patch_size: pixels along a side of a patch.
      mlp_ratio: hidden features of (3) over the width.
      positions: "sincos" or "learned", added to the tokens, or "rope": queries and keys rotated.
      qk_norm: divide queries and keys by their root mean square, which keeps bfloat16 stable.
      dropout: rate, of the hidden features of (3).
      embedding: "positional" or "fourier", of the time.
      fourier_scale: standard deviation of the Fourier frequencies.
      num_classes: number of class labels, 0 for none.
      cond_dim: features of an embedding instead of labels, 0 for none.
      attention: how it is computed, "xla" or "cudnn".
      remat: keep only what passes between blocks, and compute the rest again for gradients.
      dtype: what to compute in; parameters, normalisation and the output stay float32.

    Raises:
      ValueError: an unknown value of a field; an image that patches do not tile; a width that heads
        do not divide; labels missing or unexpected.

    Reference: Peebles and Xie, "Scalable diffusion models with transformers" (2023).
    """

    width: int = ranged(384, low=1)
    depth: int = ranged(12, low=1)
    head_dim: int = ranged(64, low=1)
    patch_size: int = ranged(2, low=1)
    mlp_ratio: float = ranged(4.0, above=0)
    positions: str = ranged("sincos", choices=("sincos", "learned", "rope"))
    qk_norm: bool = False
    dropout: float = ranged(0.0, low=0, below=1)
    embedding: str = ranged("positional", choices=EMBEDDINGS)
    fourier_scale: float = ranged(0.25, above=0)
    num_classes: int = ranged(0, low=0)
    cond_dim: int = ranged(0, low=0)
    attention: str = ranged("xla", choices=IMPLEMENTATIONS)
    remat: bool = False
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        check_choices(self)
        for field in ("depth", "patch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: got {getattr(self, field)}, takes 1 or more")
        num_heads(self.width, self.head_dim)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: Image,
        c: Float[Array, "batch"],
        cond: Condition | None = None,
        *,
        train: bool = False,
    ) -> Image:
        rows, columns = self._grid(x)
        e = self._embed(c, cond)
        h = linear(self.width, dtype=self.dtype, name="patches")(to_patches(x, self.patch_size))
        angles = None
        if self.positions == "rope":
            angles = rotary_angles(rows, columns, self.head_dim)
        else:
            h = h + self._positions(rows, columns).astype(h.dtype)
        h, _ = self._blocks(train)(h, e, angles)
        shift, scale = modulations(e, 2, self.width, self.dtype)
        out = nn.Dense(
            self.patch_size**2 * x.shape[-1],
            kernel_init=nn.initializers.zeros,
            dtype=self.dtype,
            name="out",
        )(adaptive_norm(h, scale, shift))
        return from_patches(out, x.shape, self.patch_size).astype(jnp.float32)

    def _grid(self, x: Image) -> tuple[int, int]:
        """Rows and columns of patches."""
        size, (height, width) = self.patch_size, x.shape[1:3]
        if height % size or width % size:
            raise ValueError(
                f"image size: got {height}×{width}, takes multiples of {size} (patch_size)"
            )
        return height // size, width // size

    def _embed(self, c: Array, cond: Condition | None) -> Embedding:
        dim = FEATURES // 2 if self.embedding == "fourier" else FEATURES
        return layer_of(self, TimeEmbedding, dim=dim, features=self.width, name="time")(c, cond)

    def _positions(self, rows: int, columns: int) -> Float[Array, "tokens width"]:
        if self.positions == "sincos":
            return sincos_positions(rows, columns, self.width)
        init = nn.initializers.normal(0.02)
        return self.param("positions", init, (rows * columns, self.width))

    def _blocks(self, train: bool) -> nn.Module:
        # A scan copies what it keeps for the gradient. To keep the outputs of linear maps alone and
        # compute the rest again is faster than to keep all, and takes half the memory (measured).
        keep = None if self.remat else jax.checkpoint_policies.dots_with_no_batch_dims_saveable
        stack = nn.scan(
            nn.remat(DiTBlock, policy=keep, prevent_cse=False),
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=self.depth,
        )
        return layer_of(self, stack, train=train, name=STACKED)
