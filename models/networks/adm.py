"""ADM: the U-Net of guided diffusion, of EDM's ImageNet models, and of the `diffusers` library.

As published, with nf 192 and four levels for ImageNet-64, nf 256 and six for 256×256 pixels:

    ImageNet-64, 1000 classes    295,899,267 parameters
    256×256, no classes          552,807,171 (552,814,086 with the variances that theirs also gives)

The options beyond those are what `diffusers`' UNet2DModel can be, and DDPM's network is: attention
and the kind of resampling level by level.
"""

import jax.numpy as jnp
from jaxtyping import Array

from models.layers.attention import Attention
from models.layers.basic import Embedding, Head, Image, conv3x3, layer_of, rematerialised
from models.layers.embedding import EMBEDDINGS, TimeEmbedding
from models.layers.resample import ConvDownsample, ConvUpsample
from models.layers.residual import ResidualBlock
from models.networks.unet import Context, Side, UNet
from models.registry import networks
from sde_lib import Condition, ranged


@networks.register("adm")
class ADM(UNet):
    """U-Net that attends after every block of a level, in several heads.

    Unlike in NCSN++ the embedding scales and shifts what the blocks have normalised. Further fields
    are those of `UNet`.

    Args:
      attn_down: levels, 0 the finest, at which pixels attend to each other in the encoder, instead
        of attn_resolutions.
      attn_up: likewise in the decoder.
      conv_down: levels left downwards by a strided convolution, not inside a residual block.
      conv_up: levels left upwards by a convolution of the repeated pixels.
      symmetric: whether strided convolutions have zeros all around, or as DDPM below and right.
      middle: "attention" between two residual blocks, one "residual" block after another, "none".
      middle_norm_groups: of the middle's attention; None for norm_groups, 0 for no normalisation.
      head_dim: channels of a head; 0 for one head of all.
      scale_shift: the embedding scales and shifts, not only shifts.
      embedding: "positional" (for c = 999 t) or "fourier" (for c = log σ).
      embedding_width: features of the embedding; None for 4 nf.
      freq_shift: s of the positional frequencies 10^{−4k/(K − s)}.
      cos_first: whether their cosines come before their sines.
      init_scale: variance scale of the last convolution of every branch; 0 means 1e-10.
      norm_groups: of every normalisation; None for min(channels/4, 32).
      norm_epsilon: ε of every normalisation.
      center_input: take 2x − 1 for x, for data in [0, 1].

    Reference: Dhariwal and Nichol, "Diffusion models beat GANs on image synthesis" (2021), §3;
    Karras et al., "Elucidating the design space" (2022), App. F.
    """

    attn_down: tuple[int, ...] | None = ranged(None, low=0)
    attn_up: tuple[int, ...] | None = ranged(None, low=0)
    conv_down: tuple[int, ...] = ranged((), low=0)
    conv_up: tuple[int, ...] = ranged((), low=0)
    symmetric: bool = True
    middle: str = ranged("attention", choices=("attention", "residual", "none"))
    middle_norm_groups: int | None = ranged(None, low=0)
    head_dim: int = ranged(64, low=0)
    scale_shift: bool = True
    embedding: str = ranged("positional", choices=EMBEDDINGS)
    embedding_width: int | None = ranged(None, low=1)
    freq_shift: float = 0.0
    cos_first: bool = True
    init_scale: float = ranged(0.0, low=0)
    norm_groups: int | None = ranged(None, low=1)
    norm_epsilon: float = ranged(1e-5, above=0)
    center_input: bool = False

    def _embed(self, c: Array, cond: Condition | None) -> Embedding:
        features = self.embedding_width or 4 * self.nf
        return layer_of(self, TimeEmbedding, dim=self.nf, features=features, name="time")(c, cond)

    def _from_image(self, x: Image) -> Array:
        x = 2 * x - 1 if self.center_input else x
        return conv3x3(self._channels(0), dtype=self.dtype, name="conv_in")(x)

    def _block(self, h: Array, context: Context, side: Side, level: int, i: int) -> Array:
        h = self._residual(f"{side}_{level}_block_{i}", self._channels(level))(h, *context)
        levels = self.attn_down if side == "down" else self.attn_up
        attends = h.shape[1] in self.attn_resolutions if levels is None else level in levels
        return self._attention(f"{side}_{level}_attention_{i}")(h) if attends else h

    def _resample(self, h: Array, context: Context, side: Side, level: int) -> Array:
        name, channels = f"{side}_{level}_resample", h.shape[-1]
        if level not in (self.conv_down if side == "down" else self.conv_up):
            return self._residual(name, channels, side)(h, *context)
        convolve = ConvDownsample if side == "down" else ConvUpsample
        return layer_of(self, convolve, features=channels, fir=False, name=name)(h)

    def _middle(self, h: Array, context: Context) -> Array:
        if self.middle == "none":
            return h
        h = self._residual("middle_block_0", h.shape[-1])(h, *context)
        if self.middle == "attention":
            h = self._attention("middle_attention", self.middle_norm_groups)(h)
        return self._residual("middle_block_1", h.shape[-1])(h, *context)

    def _join(self, h: Array, skip: Array) -> Array:
        return jnp.concatenate([h, skip], axis=-1)

    def _to_image(self, h: Array, channels: int) -> Array:
        return layer_of(self, Head, features=channels, name="out")(h)

    def _residual(self, name: str, features: int, resample: str = "none") -> ResidualBlock:
        return layer_of(
            self,
            rematerialised(ResidualBlock, self, static_argnums=(3,)),
            features=features,
            resample=resample,
            skip_rescale=False,
            keep_shortcut=True,
            name=name,
        )

    def _attention(self, name: str, norm_groups: int | None = None) -> Attention:
        groups = self.norm_groups if norm_groups is None else norm_groups
        return layer_of(self, rematerialised(Attention, self), norm_groups=groups, name=name)
