"""The image beside the U-Net at every resolution: into the encoder, and out of the decoder.

Reference: Song et al. (2021), App. H.1, after Karras et al., StyleGAN-2 (2020).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from models.layers.basic import Head, Image, add, linear
from models.layers.resample import ConvDownsample, ConvUpsample, downsample, upsample


class InputPyramid(nn.Module):
    """A level of the input pyramid: halve the pyramid p and add it to the hidden image h.

    The hidden image is halved already.

        input_skip   p ← ↓p,              h ← A p + h, or [A p, h] if combine is "cat"
        residual     p ← conv(↓p) + h,    h ← p

    Args:
      kind: "input_skip" or "residual".
      combine: "sum" or "cat", for input_skip.
      fir: whether halving filters.
      skip_rescale: divide the residual sum by √2.
    """

    kind: str
    combine: str
    fir: bool
    skip_rescale: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, pyramid: Array, h: Image) -> tuple[Array, Array]:
        channels = h.shape[-1]
        if self.kind == "input_skip":
            pyramid = downsample(pyramid, self.fir)
            image = linear(channels, dtype=self.dtype, name="combine")(pyramid)
            h = image + h if self.combine == "sum" else jnp.concatenate([image, h], axis=-1)
            return pyramid, h
        pyramid = ConvDownsample(channels, self.fir, self.dtype, name="down")(pyramid)
        h = add(pyramid, h, self.skip_rescale)
        return h, h


class OutputPyramid(nn.Module):
    """A level of the output pyramid: double the pyramid p, and add an image made of h.

    At the coarsest level p is None.

        output_skip   p ← ↑p + head(h)
        residual      p ← conv(↑p) + h,    h ← p;    at the coarsest level p = conv(silu(norm(h)))

    Args:
      kind: "output_skip" or "residual".
      features: image channels, for output_skip.
      fir: whether doubling filters.
      skip_rescale: divide the residual sum by √2.
      init_scale: of the head.
      norm_groups: of its normalisation; None for those of NCSN++.
    """

    kind: str
    features: int
    fir: bool
    skip_rescale: bool
    init_scale: float = 0.0
    norm_groups: int | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, pyramid: Array | None, h: Image) -> tuple[Array, Array]:
        if self.kind == "output_skip":
            image = self._head(self.features, self.init_scale)(h)
            return image if pyramid is None else upsample(pyramid, self.fir) + image, h
        channels = h.shape[-1]
        if pyramid is None:
            return self._head(channels, 1.0)(h), h
        pyramid = ConvUpsample(channels, self.fir, self.dtype, name="up")(pyramid)
        h = add(pyramid, h, self.skip_rescale)
        return h, h

    def _head(self, features: int, init_scale: float) -> Head:
        return Head(features, init_scale, self.norm_groups, dtype=self.dtype, name="head")
