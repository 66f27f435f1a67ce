"""ADM: the U-Net of guided diffusion, of EDM's ImageNet models, and of the `diffusers` library.

As published, with nf 192 and four levels for ImageNet-64, nf 256 and six for 256×256 pixels:

    ImageNet-64, 1000 classes    295,899,267 parameters
    256×256, no classes          552,807,171 (552,814,086 with the variances that theirs also gives)

The options beyond those are what `diffusers`' UNet2DModel can be, and DDPM's network is: attention
and the kind of resampling level by level.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.attention import IMPLEMENTATIONS, Attention
from models.layers.basic import Embedding, Head, Image, conv3x3, rematerialised
from models.layers.embedding import EMBEDDINGS, time_embedding
from models.layers.resample import ConvDownsample, ConvUpsample, check_size
from models.layers.residual import ResidualBlock
from models.layers.winograd import CONVOLUTIONS
from models.registry import check_choices, networks
from sde_lib import Condition, ranged


@networks.register("adm")
class ADM(nn.Module):
    """U-Net of an image x, conditioned on a number c that stands for the time.

    Down the levels, through the middle, and up again with a skip from every block passed. Unlike
    NCSN++ it attends after every block of a level, in several heads, and the embedding scales and
    shifts what the blocks have normalised.

    Args:
      nf: channels, times ch_mult[level].
      ch_mult: a number for each level, fine to coarse; the image is halved between levels.
      num_res_blocks: residual blocks a level, one more in the decoder.
      attn_resolutions: heights at which pixels attend to each other, besides the middle.
      attn_down: levels, 0 the finest, at which they do so in the encoder, instead of those heights.
      attn_up: likewise in the decoder.
      conv_down: levels left downwards by a strided convolution, not inside a residual block.
      conv_up: levels left upwards by a convolution of the repeated pixels.
      symmetric: whether strided convolutions have zeros all around, or as DDPM below and right.
      middle: "attention" between two residual blocks, one "residual" block after another, "none".
      middle_norm_groups: of the middle's attention; None for norm_groups, 0 for no normalisation.
      head_dim: channels of a head; 0 for one head of all.
      scale_shift: the embedding scales and shifts, not only shifts.
      dropout: rate inside the residual blocks.
      embedding: "positional" (for c = 999 t) or "fourier" (for c = log σ).
      embedding_width: features of the embedding; None for 4 nf.
      freq_shift: s of the positional frequencies 10^{−4k/(K − s)}.
      cos_first: whether their cosines come before their sines.
      fourier_scale: standard deviation of the Fourier frequencies.
      init_scale: variance scale of the last convolution of every branch; 0 means 1e-10.
      norm_groups: of every normalisation; None for min(channels/4, 32).
      norm_epsilon: ε of every normalisation.
      center_input: take 2x − 1 for x, for data in [0, 1].
      num_classes: number of class labels, 0 for none.
      cond_dim: features of an embedding instead of labels, 0 for none.
      attention: how it is computed, "xla" or "cudnn".
      convolution: how those of the residual blocks are, one of `winograd.CONVOLUTIONS`.
      remat: keep only what passes between blocks, and compute the rest again for gradients.
      dtype: what to compute in; parameters, normalisation and the output stay float32.

    Raises:
      ValueError: an unknown value of a field; an image that cannot be halved so often; channels
        that heads or groups do not divide; labels missing or unexpected.

    Reference: Dhariwal and Nichol, "Diffusion models beat GANs on image synthesis" (2021), §3;
    Karras et al., "Elucidating the design space" (2022), App. F.
    """

    nf: int = ranged(128, low=1)
    ch_mult: tuple[float, ...] = ranged((1, 2, 2, 2), above=0)
    num_res_blocks: int = ranged(3, low=1)
    attn_resolutions: tuple[int, ...] = ranged((16, 8), low=1)
    attn_down: tuple[int, ...] | None = ranged(None, low=0)
    attn_up: tuple[int, ...] | None = ranged(None, low=0)
    conv_down: tuple[int, ...] = ranged((), low=0)
    conv_up: tuple[int, ...] = ranged((), low=0)
    symmetric: bool = True
    middle: str = ranged("attention", choices=("attention", "residual", "none"))
    middle_norm_groups: int | None = ranged(None, low=0)
    head_dim: int = ranged(64, low=0)
    scale_shift: bool = True
    dropout: float = ranged(0.1, low=0, below=1)
    embedding: str = ranged("positional", choices=EMBEDDINGS)
    embedding_width: int | None = ranged(None, low=1)
    freq_shift: float = 0.0
    cos_first: bool = True
    fourier_scale: float = ranged(16.0, above=0)
    init_scale: float = ranged(0.0, low=0)
    norm_groups: int | None = ranged(None, low=1)
    norm_epsilon: float = ranged(1e-5, above=0)
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
        h = self._decode(self._pass_middle(h, e, train), skips, e, train)
        out = Head(
            features=x.shape[-1],
            init_scale=self.init_scale,
            norm_groups=self.norm_groups,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype,
            name="out",
        )
        return out(h).astype(jnp.float32)

    def _embed(self, c: Array, cond: Condition | None) -> Embedding:
        embed = time_embedding(
            self,
            dim=self.nf,
            features=self.embedding_width or 4 * self.nf,
            freq_shift=self.freq_shift,
            cos_first=self.cos_first,
        )
        return embed(c, cond)

    def _encode(self, x: Array, e: Embedding, train: bool) -> tuple[Array, list[Array]]:
        """The coarsest hidden image, and the skips, which the decoder takes from the end."""
        h = conv3x3(self._channels(0), dtype=self.dtype, name="conv_in")(x)
        skips = [h]
        for level in range(len(self.ch_mult)):
            for i in range(self.num_res_blocks):
                h = self._residual(f"down_{level}_block_{i}", self._channels(level))(h, e, train)
                if self._attends(level, h.shape[1], self.attn_down):
                    h = self._attention(f"down_{level}_attention_{i}")(h)
                skips.append(h)
            if level < len(self.ch_mult) - 1:
                h = self._halve(h, e, train, level)
                skips.append(h)
        return h, skips

    def _pass_middle(self, h: Array, e: Embedding, train: bool) -> Array:
        if self.middle == "none":
            return h
        h = self._residual("middle_block_0", h.shape[-1])(h, e, train)
        if self.middle == "attention":
            h = self._attention("middle_attention", self.middle_norm_groups)(h)
        return self._residual("middle_block_1", h.shape[-1])(h, e, train)

    def _decode(self, h: Array, skips: list[Array], e: Embedding, train: bool) -> Array:
        """From the coarsest hidden image to the finest."""
        for level in reversed(range(len(self.ch_mult))):
            for i in range(self.num_res_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = self._residual(f"up_{level}_block_{i}", self._channels(level))(h, e, train)
                if self._attends(level, h.shape[1], self.attn_up):
                    h = self._attention(f"up_{level}_attention_{i}")(h)
            if level > 0:
                h = self._double(h, e, train, level)
        return h

    def _channels(self, level: int) -> int:
        return round(self.nf * self.ch_mult[level])

    def _attends(self, level: int, height: int, levels: tuple[int, ...] | None) -> bool:
        return height in self.attn_resolutions if levels is None else level in levels

    def _residual(self, name: str, features: int, resample: str = "none") -> ResidualBlock:
        block = rematerialised(ResidualBlock, self, static_argnums=(3,))
        return block(
            features=features,
            resample=resample,
            dropout=self.dropout,
            skip_rescale=False,
            init_scale=self.init_scale,
            norm_groups=self.norm_groups,
            norm_epsilon=self.norm_epsilon,
            scale_shift=self.scale_shift,
            keep_shortcut=True,
            convolution=self.convolution,
            dtype=self.dtype,
            name=name,
        )

    def _attention(self, name: str, norm_groups: int | None = None) -> Attention:
        attention = rematerialised(Attention, self)
        return attention(
            head_dim=self.head_dim or None,
            init_scale=self.init_scale,
            norm_groups=self.norm_groups if norm_groups is None else norm_groups,
            norm_epsilon=self.norm_epsilon,
            implementation=self.attention,
            dtype=self.dtype,
            name=name,
        )

    def _halve(self, h: Array, e: Embedding, train: bool, level: int) -> Array:
        name, channels = f"down_{level}_resample", h.shape[-1]
        if level in self.conv_down:
            convolve = ConvDownsample(
                channels, fir=False, symmetric=self.symmetric, dtype=self.dtype, name=name
            )
            return convolve(h)
        return self._residual(name, channels, "down")(h, e, train)

    def _double(self, h: Array, e: Embedding, train: bool, level: int) -> Array:
        name, channels = f"up_{level}_resample", h.shape[-1]
        if level in self.conv_up:
            return ConvUpsample(channels, fir=False, dtype=self.dtype, name=name)(h)
        return self._residual(name, channels, "up")(h, e, train)
