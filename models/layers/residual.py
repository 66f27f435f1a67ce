"""The residual block of NCSN++, DDPM++ and ADM."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from models.layers.basic import Embedding, GroupNorm, Image, add, conv3x3, linear
from models.layers.resample import downsample, upsample


class ResidualBlock(nn.Module):
    """A residual block: two convolutions, conditioned on the embedding e if there is one.

        h = conv₀(R silu(norm₀(x)))
        u = norm₁(h + A e),    or with scale_shift    u = (1 + A e) norm₁(h) + B e
        y = S R x + conv₁(dropout(silu(u)))

    R resamples (BigGAN) or is 1; S is a 1×1 convolution where channels change, and unless
    `keep_shortcut` where the resolution does.

    Args:
      features: output channels.
      resample: "down", "up" or "none".
      fir: whether resampling filters.
      dropout: rate.
      skip_rescale: divide the sum by √2.
      init_scale: of conv₁.
      norm_groups: of the normalisations; None for those of NCSN++.
      norm_epsilon: their ε.
      scale_shift: e scales and shifts what norm₁ gives, instead of shifting what it takes.
      keep_shortcut: no 1×1 convolution where only the resolution changes.
      convolution: how conv₀ and conv₁ are computed, one of `CONVOLUTIONS`.

    Reference: Song et al. (2021), App. H; Brock et al., BigGAN (2019); Ho et al., DDPM (2020);
    Dhariwal and Nichol (2021), §3 for scale_shift.
    """

    features: int
    resample: str = "none"
    fir: bool = False
    dropout: float = 0.0
    skip_rescale: bool = True
    init_scale: float = 0.0
    norm_groups: int | None = None
    norm_epsilon: float = 1e-6
    scale_shift: bool = False
    keep_shortcut: bool = False
    convolution: str = "xla"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image, e: Embedding | None, train: bool) -> Array:
        h = nn.silu(GroupNorm(self.norm_groups, self.norm_epsilon, name="norm_0")(x))
        h, x = self._resampled(h), self._resampled(x)
        conv = partial(conv3x3, self.features, convolution=self.convolution, dtype=self.dtype)
        h = conv(name="conv_0")(h)
        h = nn.silu(self._conditioned(h, e))
        h = nn.Dropout(self.dropout, deterministic=not train)(h)
        out = conv(init_scale=self.init_scale, name="conv_1")
        resized = self.resample != "none" and not self.keep_shortcut
        if x.shape[-1] != self.features or resized:
            x = linear(self.features, dtype=self.dtype, name="shortcut")(x)
        return add(x, out(h), self.skip_rescale)

    def _conditioned(self, h: Array, e: Embedding | None) -> Array:
        """u of the equations, from h and e."""
        norm = GroupNorm(self.norm_groups, self.norm_epsilon, name="norm_1")
        if e is None:
            return norm(h)
        width = self.features * (1 + self.scale_shift)
        conditioning = linear(width, dtype=self.dtype, name="dense")(e)[:, None, None]
        if not self.scale_shift:
            return norm(h + conditioning)
        scale, shift = jnp.split(conditioning, 2, axis=-1)
        return (1 + scale) * norm(h) + shift

    def _resampled(self, x: Array) -> Array:
        if self.resample == "none":
            return x
        return (downsample if self.resample == "down" else upsample)(x, self.fir)
