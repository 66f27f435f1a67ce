"""NCSN++ and DDPM++: the U-Net of score-based models on images.

As published for CIFAR-10, where the parameters are those of 4 and of 8 residual blocks a level:

            embedding     fir    progressive_input    parameters
    DDPM++  positional    no     none                 61,804,419    106,632,579
    NCSN++  fourier       yes    residual             62,758,915    107,587,075
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from models.layers.attention import Attention
from models.layers.basic import Embedding, Head, Image, conv3x3, layer_of, rematerialised
from models.layers.embedding import EMBEDDINGS, TimeEmbedding, check_condition
from models.layers.pyramid import InputPyramid, OutputPyramid
from models.layers.resample import ConvDownsample, ConvUpsample, downsample, upsample
from models.layers.residual import ResidualBlock
from models.networks.unet import Context, Side, UNet
from models.registry import networks
from sde_lib import Condition, ranged


class Hidden(NamedTuple):
    """What passes between the blocks: a hidden image, and beside it a pyramid of the image.

    Args:
      pyramid: of the image as it came in, then as it goes out; None at first.
      h: the hidden image.
      channels: of the image.
    """

    pyramid: Any
    h: Array
    channels: int


@networks.register("ncsnpp")
class NCSNpp(UNet):
    """U-Net into which the image may go, and out of which it may come, at every level.

    Further fields are those of `UNet`.

    Args:
      embedding: "positional" (for c = 999 t) or "fourier" (for c = log σ).
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

    Reference: Song et al., "Score-based generative modeling through SDEs" (2021), App. H.
    """

    ch_mult: tuple[int, ...] = (1, 2, 2, 2)
    num_res_blocks: int = 4
    attn_resolutions: tuple[int, ...] = (16,)
    embedding: str = ranged("positional", choices=EMBEDDINGS)
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

    def _embed(self, c: Array, cond: Condition | None) -> Embedding | None:
        if not self.time_conditioned:
            check_condition(cond, 0, 0)
            return None
        embed = layer_of(self, TimeEmbedding, dim=self.nf, features=4 * self.nf, name="time")
        return embed(c, cond)

    def _from_image(self, x: Image) -> Hidden:
        x = 2 * x - 1 if self.center_input else x
        h = conv3x3(self.nf, dtype=self.dtype, name="conv_in")(x)
        return Hidden(x, h, x.shape[-1])

    def _block(self, now: Hidden, context: Context, side: Side, level: int, i: int) -> Hidden:
        h = self._residual(f"{side}_{level}_block_{i}", self._channels(level))(now.h, *context)
        # The encoder attends after every block, the decoder after the last of a level.
        ends_level = i == self.num_res_blocks
        if h.shape[1] in self.attn_resolutions and (side == "down" or ends_level):
            name = f"up_{level}_attention" if ends_level else f"down_{level}_attention_{i}"
            h = self._attention(name)(h)
        now = now._replace(h=h)
        return self._output_pyramid(now, f"up_{level}_pyramid") if ends_level else now

    def _resample(self, now: Hidden, context: Context, side: Side, level: int) -> Hidden:
        h, channels, name = now.h, now.h.shape[-1], f"{side}_{level}_resample"
        if self.resblock == "biggan":
            h = self._residual(name, channels, side)(h, *context)
        elif self.resamp_with_conv:
            convolve = ConvDownsample if side == "down" else ConvUpsample
            h = layer_of(self, convolve, features=channels, name=name)(h)
        else:
            h = (downsample if side == "down" else upsample)(h, self.fir)
        now = now._replace(h=h)
        return self._input_pyramid(now, f"down_{level}_pyramid") if side == "down" else now

    def _middle(self, now: Hidden, context: Context) -> Hidden:
        h = self._residual("middle_block_0", now.h.shape[-1])(now.h, *context)
        h = self._attention("middle_attention")(h)
        h = self._residual("middle_block_1", h.shape[-1])(h, *context)
        return now._replace(h=h, pyramid=None)

    def _join(self, now: Hidden, skip: Hidden) -> Hidden:
        return now._replace(h=jnp.concatenate([now.h, skip.h], axis=-1))

    def _to_image(self, now: Hidden, channels: int) -> Array:
        if self.progressive == "output_skip":
            return now.pyramid
        return layer_of(self, Head, features=channels, name="out")(now.h)

    def _residual(self, name: str, features: int, resample: str = "none") -> ResidualBlock:
        block = rematerialised(ResidualBlock, self, static_argnums=(3,))
        return layer_of(self, block, features=features, resample=resample, name=name)

    def _attention(self, name: str) -> Attention:
        return layer_of(self, rematerialised(Attention, self), name=name)

    def _input_pyramid(self, now: Hidden, name: str) -> Hidden:
        kind, combine = self.progressive_input, self.progressive_combine
        if kind == "none":
            return now
        level = layer_of(self, InputPyramid, kind=kind, combine=combine, name=name)
        return Hidden(*level(now.pyramid, now.h), now.channels)

    def _output_pyramid(self, now: Hidden, name: str) -> Hidden:
        kind, features = self.progressive, now.channels
        if kind == "none":
            return now
        level = layer_of(self, OutputPyramid, kind=kind, features=features, name=name)
        return Hidden(*level(now.pyramid, now.h), now.channels)
