"""NCSN++ and DDPM++: the U-Net of score-based models on images.

As published for CIFAR-10, where the parameters are those of 4 and of 8 residual blocks a level:

            embedding     fir    progressive_input    parameters
    DDPM++  positional    no     none                 61,804,419    106,632,579
    NCSN++  fourier       yes    residual             62,758,915    107,587,075
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.attention import IMPLEMENTATIONS, Attention
from models.layers.basic import Embedding, Head, Image, conv3x3, rematerialised
from models.layers.embedding import EMBEDDINGS, check_condition, time_embedding
from models.layers.pyramid import InputPyramid, OutputPyramid
from models.layers.resample import ConvDownsample, ConvUpsample, check_size, downsample, upsample
from models.layers.residual import ResidualBlock
from models.layers.winograd import CONVOLUTIONS
from models.registry import check_choices, networks
from sde_lib import Condition, ranged


@networks.register("ncsnpp")
class NCSNpp(nn.Module):
    """U-Net of an image x, conditioned on a number c that stands for the time.

    Down the levels, through the middle, and up again with a skip from every block passed. It is
    not given σ: the parameterization says what its output means.

    Args:
      nf: channels, times ch_mult[level].
      ch_mult: a number for each level, fine to coarse; the image is halved between levels.
      num_res_blocks: residual blocks a level, one more in the decoder.
      attn_resolutions: heights at which pixels attend to each other, besides the middle.
      dropout: rate inside the residual blocks.
      embedding: "positional" (for c = 999 t) or "fourier" (for c = log σ).
      fourier_scale: standard deviation of the Fourier frequencies.
      resblock: "biggan" resamples inside a residual block, "ddpm" between blocks.
      fir: resample with the kernel (1, 3, 3, 1), not by means and repetition.
      progressive: "none" (the image leaves at the decoder's end), "output_skip" or "residual".
      progressive_input: "none" (it enters at the encoder's start), "input_skip" or "residual".
      progressive_combine: "sum" or "cat", for input_skip.
      skip_rescale: divide residual sums by √2.
      resamp_with_conv: whether "ddpm" resampling convolves.
      init_scale: variance scale of the last convolution of every branch; 0 means 1e-10.
      norm_groups: of every normalisation; None for min(channels/4, 32).
      time_conditioned: whether the blocks are conditioned on the time, and on a condition.
      center_input: take 2x − 1 for x, for data in [0, 1].
      num_classes: number of class labels, 0 for none.
      cond_dim: features of an embedding instead of labels, 0 for none.
      attention: how it is computed, "xla" or "cudnn".
      convolution: how those of the residual blocks are, one of `winograd.CONVOLUTIONS`.
      remat: keep only what passes between blocks, and compute the rest again for gradients.
      dtype: what to compute in; parameters, normalisation and the output stay float32.

    Raises:
      ValueError: an unknown value of a field; an image that cannot be halved so often; labels
        missing or unexpected.

    Reference: Song et al., "Score-based generative modeling through SDEs" (2021), App. H.
    """

    nf: int = ranged(128, low=1)
    ch_mult: tuple[int, ...] = ranged((1, 2, 2, 2), above=0)
    num_res_blocks: int = ranged(4, low=1)
    attn_resolutions: tuple[int, ...] = ranged((16,), low=1)
    dropout: float = ranged(0.1, low=0, below=1)
    embedding: str = ranged("positional", choices=EMBEDDINGS)
    fourier_scale: float = ranged(16.0, above=0)
    resblock: str = ranged("biggan", choices=("biggan", "ddpm"))
    fir: bool = False
    progressive: str = ranged("none", choices=("none", "output_skip", "residual"))
    progressive_input: str = ranged("none", choices=("none", "input_skip", "residual"))
    progressive_combine: str = ranged("sum", choices=("sum", "cat"))
    skip_rescale: bool = True
    resamp_with_conv: bool = True
    init_scale: float = ranged(0.0, low=0)
    norm_groups: int | None = ranged(None, low=1)
    time_conditioned: bool = True
    center_input: bool = False
    num_classes: int = ranged(0, low=0)
    cond_dim: int = ranged(0, low=0)
    attention: str = ranged("xla", choices=IMPLEMENTATIONS)
    convolution: str = ranged("xla", choices=CONVOLUTIONS)
    remat: bool = False
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        check_choices(self)
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
        check_size(x, len(self.ch_mult) - 1)
        x = 2 * x - 1 if self.center_input else x
        e = self._embed(c, cond)
        h, skips = self._encode(x, e, train)
        h = self._residual("middle_block_0", h.shape[-1])(h, e, train)
        h = self._attention("middle_attention")(h)
        h = self._residual("middle_block_1", h.shape[-1])(h, e, train)
        return self._decode(h, skips, e, train, x.shape[-1]).astype(jnp.float32)

    def _embed(self, c: Array, cond: Condition | None) -> Embedding | None:
        if not self.time_conditioned:
            check_condition(cond, 0, 0)
            return None
        return time_embedding(self, dim=self.nf, features=4 * self.nf)(c, cond)

    def _encode(self, x: Array, e: Embedding | None, train: bool) -> tuple[Array, list[Array]]:
        """The coarsest hidden image, and the skips, which the decoder takes from the end."""
        h = conv3x3(self.nf, dtype=self.dtype, name="conv_in")(x)
        pyramid, skips = x, [h]
        for level, mult in enumerate(self.ch_mult):
            for i in range(self.num_res_blocks):
                h = self._residual(f"down_{level}_block_{i}", mult * self.nf)(h, e, train)
                if h.shape[1] in self.attn_resolutions:
                    h = self._attention(f"down_{level}_attention_{i}")(h)
                skips.append(h)
            if level < len(self.ch_mult) - 1:
                h = self._resample(h, e, train, "down", f"down_{level}_resample")
                pyramid, h = self._input_pyramid(pyramid, h, f"down_{level}_pyramid")
                skips.append(h)
        return h, skips

    def _decode(
        self, h: Array, skips: list[Array], e: Embedding | None, train: bool, channels: int
    ) -> Array:
        """From the coarsest hidden image to the output."""
        pyramid: Any = None  # there is none before the coarsest level
        for level, mult in reversed(list(enumerate(self.ch_mult))):
            for i in range(self.num_res_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = self._residual(f"up_{level}_block_{i}", mult * self.nf)(h, e, train)
            if h.shape[1] in self.attn_resolutions:
                h = self._attention(f"up_{level}_attention")(h)
            pyramid, h = self._output_pyramid(pyramid, h, channels, f"up_{level}_pyramid")
            if level > 0:
                h = self._resample(h, e, train, "up", f"up_{level}_resample")
        if self.progressive == "output_skip":
            return pyramid
        return Head(channels, self.init_scale, self.norm_groups, dtype=self.dtype, name="out")(h)

    def _residual(self, name: str, features: int, resample: str = "none") -> ResidualBlock:
        block = rematerialised(ResidualBlock, self, static_argnums=(3,))
        return block(
            features=features,
            resample=resample,
            fir=self.fir,
            dropout=self.dropout,
            skip_rescale=self.skip_rescale,
            init_scale=self.init_scale,
            norm_groups=self.norm_groups,
            convolution=self.convolution,
            dtype=self.dtype,
            name=name,
        )

    def _attention(self, name: str) -> Attention:
        attention = rematerialised(Attention, self)
        return attention(
            skip_rescale=self.skip_rescale,
            init_scale=self.init_scale,
            norm_groups=self.norm_groups,
            implementation=self.attention,
            dtype=self.dtype,
            name=name,
        )

    def _resample(
        self, h: Array, e: Embedding | None, train: bool, direction: str, name: str
    ) -> Array:
        """The step between two levels."""
        channels = h.shape[-1]
        if self.resblock == "biggan":
            return self._residual(name, channels, direction)(h, e, train)
        if not self.resamp_with_conv:
            return (downsample if direction == "down" else upsample)(h, self.fir)
        convolve = ConvDownsample if direction == "down" else ConvUpsample
        return convolve(channels, self.fir, self.dtype, name=name)(h)

    def _input_pyramid(self, pyramid: Array, h: Array, name: str) -> tuple[Array, Array]:
        if self.progressive_input == "none":
            return pyramid, h
        level = InputPyramid(
            kind=self.progressive_input,
            combine=self.progressive_combine,
            fir=self.fir,
            skip_rescale=self.skip_rescale,
            dtype=self.dtype,
            name=name,
        )
        return level(pyramid, h)

    def _output_pyramid(
        self, pyramid: Any, h: Array, channels: int, name: str
    ) -> tuple[Any, Array]:
        if self.progressive == "none":
            return pyramid, h
        level = OutputPyramid(
            kind=self.progressive,
            features=channels,
            fir=self.fir,
            skip_rescale=self.skip_rescale,
            init_scale=self.init_scale,
            norm_groups=self.norm_groups,
            dtype=self.dtype,
            name=name,
        )
        return level(pyramid, h)
