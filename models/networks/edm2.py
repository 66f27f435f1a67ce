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
from jaxtyping import Array

from models.layers.attention import attend, num_heads, split_heads
from models.layers.basic import Embedding, Image, layer_of, rematerialised
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
from models.layers.resample import downsample, upsample
from models.networks.unet import Context, Side, UNet
from models.registry import networks
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
    dtype: Any

    @nn.compact
    def __call__(self, x: Image, e: Embedding, train: bool) -> Array:
        x = self._resampled(x)
        if self.encoder:
            x = pixel_norm(self._shortcut(x))
        gain = self.param("gain", nn.initializers.zeros, ())
        scale = 1 + gain.astype(self.dtype) * self._linear(self.features, "emb")(e)[:, None, None]
        y = self._conv("conv_0")(mp_silu(x))
        y = mp_silu(y * scale)
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
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
class EDM2(UNet):
    """U-Net of an image x of unit variance, conditioned on c = log σ/α or log σ.

    After every update training replaces the parameters by `constrain` of them; those of `init` are
    so already. Further fields are those of `UNet`: published with dropout 0.1 from EDM2-L up, and
    with fourier_scale 1/4 as the published c is log σ/4. The mean square of embeddings instead of
    labels is to be 1, as it is that of a label's √n · one-hot.

    Args:
      head_dim: channels of a head of the attention.

    Reference: Karras et al., "Analyzing and improving the training dynamics of diffusion models"
    (2024), config G. Without its clipping of activations to ±256, which float16 alone needs.
    """

    ch_mult: tuple[int, ...] = (1, 2, 3, 4)
    dropout: float = 0.0
    fourier_scale: float = 0.25
    head_dim: int = ranged(64, low=1)

    @nn.nowrap
    def constrain(self, params: Any) -> Any:
        """Parameters with every weight normalised, which changes no output."""
        return constrain(params)

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

    def _from_image(self, x: Image) -> Array:
        # A channel of ones stands for the biases that there are not.
        ones = jnp.ones((*x.shape[:-1], 1), x.dtype)
        return MPConv(self.nf, self.dtype, name="conv_in")(jnp.concatenate([x, ones], axis=-1))

    def _block(self, h: Array, context: Context, side: Side, level: int, i: int) -> Array:
        name, attends = f"{side}_{level}_block_{i}", h.shape[1] in self.attn_resolutions
        return self._make(name, self._channels(level), side, attends=attends)(h, *context)

    def _resample(self, h: Array, context: Context, side: Side, level: int) -> Array:
        name = f"down_{level + 1}" if side == "down" else f"up_{level}"
        return self._make(name, h.shape[-1], side, resample=side)(h, *context)

    def _middle(self, h: Array, context: Context) -> Array:
        h = self._make("middle_block_0", h.shape[-1], "up", attends=True)(h, *context)
        return self._make("middle_block_1", h.shape[-1], "up")(h, *context)

    def _join(self, h: Array, skip: Array) -> Array:
        return mp_cat(h, skip, SKIP)

    def _to_image(self, h: Array, channels: int) -> Array:
        gain = self.param("gain", nn.initializers.zeros, ())
        out = MPConv(channels, self.dtype, name="conv_out")(h)
        return gain * out.astype(jnp.float32)

    def _make(
        self, name: str, features: int, side: Side, *, resample: str = "none", attends: bool = False
    ) -> EDM2Block:
        return layer_of(
            self,
            rematerialised(EDM2Block, self, static_argnums=(3,)),
            features=features,
            encoder=side == "down",
            resample=resample,
            heads=num_heads(features, self.head_dim) if attends else 0,
            name=name,
        )
