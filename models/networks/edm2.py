"""EDM2: the magnitude-preserving U-Net.

No normalisation layer keeps activations in bounds, nor is there a bias: every layer passes on the
mean square that it gets (`magnitude_preserving`), but for the means of 2 × 2 pixels.

As published, "config G" for 64 × 64 × 4 latents with 1000 classes:

               nf     parameters
    EDM2-XS    128       124.7 M
    EDM2-S     192       280.2 M
    EDM2-M     256       497.8 M
    EDM2-L     320       777.5 M
    EDM2-XL    384      1119.3 M

On the embedded digits (parameterization "edm", whose network has input of unit variance):

    scoresde train --config=digits --config.model.name=edm2 --config.model.head_dim=32 \\
      --config.training.learning_rate=1e-2 --config.training.schedule=inverse_sqrt
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.attention import IMPLEMENTATIONS, attend, num_heads, split_heads
from models.layers.basic import Embedding, Image, rematerialised
from models.layers.embedding import check_condition, kept_or_null
from models.layers.magnitude_preserving import (
    MPConv,
    MPFourier,
    MPLinear,
    constrain,
    mp_cat,
    mp_silu,
    mp_sum,
    pixel_norm,
    unit_rms,
)
from models.layers.resample import check_size, downsample, upsample
from models.layers.winograd import CONVOLUTIONS
from models.registry import check_choices, networks
from sde_lib import Condition, ranged

# The share t of the second term, as published.
BRANCH, SKIP, CONDITION = 0.3, 0.5, 0.5


class EDM2Block(nn.Module):
    """A block of EDM2: two convolutions beside a shortcut, conditioned on e, and attention.

        x = pixel_norm(S R x)      in the encoder,    x = R x    in the decoder
        y = conv₁(dropout(silu(conv₀(silu(x)) (1 + g A e))))
        x ← sum(x, y)              in the decoder sum(S x, y)
        x ← sum(x, A_out attention(x)),    with q, k and v pixel norms of linear maps by heads

    R resamples or is 1; S is a 1×1 convolution where channels change, or 1; g starts at 0.

    Args:
      features: output channels.
      encoder: whether it is one of the encoder's.
      resample: "down", "up" or "none".
      heads: of the attention; 0 for none.

    Reference: Karras et al. (2024), Fig. 21.
    """

    features: int
    encoder: bool
    resample: str
    heads: int
    dropout: float
    attention: str
    convolution: str
    train: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Image, e: Embedding) -> Array:
        x = self._resampled(x)
        if self.encoder:
            x = pixel_norm(self._shortcut(x))
        gain = self.param("gain", nn.initializers.zeros, ())
        scale = 1 + gain.astype(self.dtype) * self._linear(self.features, "emb")(e)[:, None, None]
        y = self._conv("conv_0")(mp_silu(x))
        y = mp_silu(y * scale)
        y = nn.Dropout(self.dropout, deterministic=not self.train)(y)
        y = self._conv("conv_1")(y)
        x = mp_sum(x if self.encoder else self._shortcut(x), y, BRANCH)
        return mp_sum(x, self._attend(x), BRANCH) if self.heads else x

    def _attend(self, x: Image) -> Array:
        pixels = x.reshape(len(x), -1, self.features)
        qkv = self._linear(3 * self.features, "qkv")(pixels)
        query, key, value = map(pixel_norm, split_heads(qkv, self.heads))
        attended = attend(query, key, value, self.attention)
        return self._linear(self.features, "attention_out")(attended).reshape(x.shape)

    def _shortcut(self, x: Image) -> Array:
        return x if x.shape[-1] == self.features else self._linear(self.features, "shortcut")(x)

    def _resampled(self, x: Image) -> Array:
        if self.resample == "none":
            return x
        return (downsample if self.resample == "down" else upsample)(x, fir=False)

    def _conv(self, name: str) -> MPConv:
        return MPConv(self.features, self.dtype, self.convolution, name=name)

    def _linear(self, features: int, name: str) -> MPLinear:
        return MPLinear(features, self.dtype, name=name)


@networks.register("edm2")
class EDM2(nn.Module):
    """U-Net of an image x of unit variance, conditioned on c = log σ/α or log σ.

    Down the levels and up again, with a skip from every block passed. After every update training
    replaces the parameters by `constrain` of them; those of `init` are so already.

    Args:
      nf: channels, times ch_mult[level].
      ch_mult: a number for each level, fine to coarse; the image is halved between levels.
      num_res_blocks: blocks a level, one more in the decoder.
      attn_resolutions: heights at which pixels attend to each other, besides the coarsest once.
      head_dim: channels of a head of the attention.
      dropout: rate inside the blocks; published 0.1 from EDM2-L up, else 0.
      fourier_scale: standard deviation of the frequencies of c; 1/4 as the published c is log σ/4.
      num_classes: number of class labels, 0 for none.
      cond_dim: features of an embedding instead of labels, 0 for none; their mean square is to be
        1, as it is that of a label's √n · one-hot.
      attention: how it is computed, "xla" or "cudnn".
      convolution: how those of the blocks are, one of `winograd.CONVOLUTIONS`.
      remat: keep only what passes between blocks, and compute the rest again for gradients.
      dtype: what to compute in; parameters, what is normalised and the output stay float32.

    Raises:
      ValueError: an unknown attention or convolution; an image that cannot be halved so often; a
        head_dim that does not divide the channels; labels missing or unexpected.

    Reference: Karras et al., "Analyzing and improving the training dynamics of diffusion models"
    (2024), config G. Without its clipping of activations to ±256, which float16 alone needs.
    """

    nf: int = ranged(128, low=1)
    ch_mult: tuple[int, ...] = ranged((1, 2, 3, 4), above=0)
    num_res_blocks: int = ranged(3, low=1)
    attn_resolutions: tuple[int, ...] = ranged((16, 8), low=1)
    head_dim: int = ranged(64, low=1)
    dropout: float = ranged(0.0, low=0, below=1)
    fourier_scale: float = ranged(0.25, above=0)
    num_classes: int = ranged(0, low=0)
    cond_dim: int = ranged(0, low=0)
    attention: str = ranged("xla", choices=IMPLEMENTATIONS)
    convolution: str = ranged("xla", choices=CONVOLUTIONS)
    remat: bool = False
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        check_choices(self)
        super().__post_init__()

    @nn.nowrap
    def constrain(self, params: Any) -> Any:
        """Parameters with every weight normalised, which changes no output."""
        return constrain(params)

    @nn.compact
    def __call__(
        self,
        x: Image,
        c: Float[Array, "batch"],
        cond: Condition | None = None,
        *,
        train: bool = False,
    ) -> Image:
        check_size(x, len(self.ch_mult) - 1)
        e = self._embed(c, cond)
        h, skips = self._encode(x, e, train)
        h = self._decode(h, skips, e, train)
        gain = self.param("gain", nn.initializers.zeros, ())
        out = MPConv(x.shape[-1], self.dtype, name="conv_out")(h)
        return gain * out.astype(jnp.float32)

    def _embed(self, c: Array, cond: Condition | None) -> Embedding:
        features = self.nf * max(self.ch_mult)
        linear = lambda name: MPLinear(features, self.dtype, name=name)  # noqa: E731
        e = linear("time")(MPFourier(self.nf, self.fourier_scale, name="fourier")(c))
        known = check_condition(cond, self.num_classes, self.cond_dim)
        if known is not None:
            if self.num_classes:
                one_hot = jax.nn.one_hot(known.label, self.num_classes)
                given = linear("class")(one_hot * self.num_classes**0.5)
            else:
                given = linear("cond")(jnp.asarray(known.vector))
            null = self.param("null", nn.initializers.normal(1.0), (features,))
            null = unit_rms(null, -1).astype(given.dtype)
            e = mp_sum(e, kept_or_null(given, known, null), CONDITION)
        return mp_silu(e)

    def _encode(self, x: Image, e: Embedding, train: bool) -> tuple[Array, list[Array]]:
        """The coarsest hidden image, and the skips, which the decoder takes from the end."""
        # A channel of ones stands for the biases that there are not.
        ones = jnp.ones((*x.shape[:-1], 1), x.dtype)
        h = MPConv(self.nf, self.dtype, name="conv_in")(jnp.concatenate([x, ones], axis=-1))
        skips = [h]
        for level, mult in enumerate(self.ch_mult):
            if level > 0:
                h = self._block(f"down_{level}", h.shape[-1], train, True, "down")(h, e)
                skips.append(h)
            attends = h.shape[1] in self.attn_resolutions
            for i in range(self.num_res_blocks):
                name = f"down_{level}_block_{i}"
                h = self._block(name, mult * self.nf, train, True, attends=attends)(h, e)
                skips.append(h)
        return h, skips

    def _decode(self, h: Array, skips: list[Array], e: Embedding, train: bool) -> Array:
        """From the coarsest hidden image to the finest."""
        h = self._block("middle_block_0", h.shape[-1], train, False, attends=True)(h, e)
        h = self._block("middle_block_1", h.shape[-1], train, False)(h, e)
        for level, mult in reversed(list(enumerate(self.ch_mult))):
            attends = h.shape[1] in self.attn_resolutions
            for i in range(self.num_res_blocks + 1):
                h = mp_cat(h, skips.pop(), SKIP)
                name = f"up_{level}_block_{i}"
                h = self._block(name, mult * self.nf, train, False, attends=attends)(h, e)
            if level > 0:
                h = self._block(f"up_{level}", h.shape[-1], train, False, "up")(h, e)
        return h

    def _block(
        self,
        name: str,
        features: int,
        train: bool,
        encoder: bool,
        resample: str = "none",
        attends: bool = False,
    ) -> EDM2Block:
        block = rematerialised(EDM2Block, self)
        return block(
            features=features,
            encoder=encoder,
            resample=resample,
            heads=num_heads(features, self.head_dim) if attends else 0,
            dropout=self.dropout,
            attention=self.attention,
            convolution=self.convolution,
            train=train,
            dtype=self.dtype,
            name=name,
        )
