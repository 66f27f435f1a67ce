"""The residual block of NCSN++ and DDPM++."""

from typing import Any

import flax.linen as nn
from jaxtyping import Array

from models.layers import Embedding, GroupNorm, Image, add, conv3x3, linear
from models.resample import downsample, upsample


class ResidualBlock(nn.Module):
    """Two convolutions, told the embedding e where there is one, beside a shortcut.

        h = conv₀(R silu(norm₀(x))) + A e
        y = S R x + conv₁(dropout(silu(norm₁(h))))

    R resamples (BigGAN) or is 1; S is a 1×1 convolution where channels or resolution change.

    Args:
      features: output channels.
      resample: "down", "up" or "none".
      fir: whether resampling filters.
      dropout: rate.
      skip_rescale: divide the sum by √2.
      init_scale: of conv₁.
      norm_groups: of the normalisations; None for those of NCSN++.

    Reference: Song et al. (2021), App. H; Brock et al., BigGAN (2019); Ho et al., DDPM (2020).
    """

    features: int
    resample: str = "none"
    fir: bool = False
    dropout: float = 0.0
    skip_rescale: bool = True
    init_scale: float = 0.0
    norm_groups: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image, e: Embedding | None, train: bool) -> Array:
        h = nn.silu(GroupNorm(self.norm_groups, name="norm_0")(x))
        h, x = self._resampled(h), self._resampled(x)
        h = conv3x3(self.features, dtype=self.dtype, name="conv_0")(h)
        if e is not None:
            h = h + linear(self.features, dtype=self.dtype, name="dense")(e)[:, None, None]
        h = nn.silu(GroupNorm(self.norm_groups, name="norm_1")(h))
        h = nn.Dropout(self.dropout, deterministic=not train)(h)
        out = conv3x3(self.features, init_scale=self.init_scale, dtype=self.dtype, name="conv_1")
        if x.shape[-1] != self.features or self.resample != "none":
            x = linear(self.features, dtype=self.dtype, name="shortcut")(x)
        return add(x, out(h), self.skip_rescale)

    def _resampled(self, x: Array) -> Array:
        if self.resample == "none":
            return x
        return (downsample if self.resample == "down" else upsample)(x, self.fir)
