"""The U-Net of NCSN++, ADM and EDM2, made of pieces that each of them has of its own."""

import abc
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.attention import IMPLEMENTATIONS
from models.layers.basic import Embedding, Image
from models.layers.resample import check_size
from models.layers.winograd import CONVOLUTIONS
from models.registry import check_choices
from sde_lib import Condition, ranged

Side = Literal["down", "up"]
"""The encoder or the decoder."""

Context = tuple[Any, bool]
"""The embedding of time and condition, or None, and whether the network is trained."""


class UNet(nn.Module, abc.ABC):
    """U-Net of an image x, conditioned on a number c that stands for the time.

    Down the levels, through the middle, and up again with a skip from every block passed. It is
    not given σ: the parameterization says what its output means.

    A subclass makes the pieces. What passes between them, h, is the hidden image, or a tuple with
    it.

    Args:
      nf: channels, times ch_mult[level].
      ch_mult: a number for each level, fine to coarse; the image is halved between levels.
      num_res_blocks: blocks a level, one more in the decoder.
      attn_resolutions: heights at which pixels attend to each other, besides the middle.
      dropout: rate inside the blocks.
      fourier_scale: standard deviation of the Fourier frequencies of c.
      num_classes: number of class labels, 0 for none.
      cond_dim: features of an embedding instead of labels, 0 for none.
      attention: how it is computed, "xla" or "cudnn".
      convolution: how those of the blocks are, one of `winograd.CONVOLUTIONS`.
      remat: keep only what passes between blocks, and compute the rest again for gradients.
      dtype: what to compute in; parameters, what is normalised and the output stay float32.

    Raises:
      ValueError: an unknown value of a field; an image that cannot be halved so often; channels
        that heads or groups do not divide; labels missing or unexpected.

    Reference: Ronneberger et al., "U-Net" (2015); Ho et al. (2020), App. B.
    """

    nf: int = ranged(128, low=1)
    ch_mult: tuple[float, ...] = ranged((1, 2, 2, 2), above=0)
    num_res_blocks: int = ranged(3, low=1)
    attn_resolutions: tuple[int, ...] = ranged((16, 8), low=1)
    dropout: float = ranged(0.1, low=0, below=1)
    fourier_scale: float = ranged(16.0, above=0)
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
        levels = range(len(self.ch_mult))
        check_size(x, levels[-1])
        context = self._embed(c, cond), train
        h = self._from_image(x)
        skips = [h]
        for level in levels:
            for i in range(self.num_res_blocks):
                h = self._block(h, context, "down", level, i)
                skips.append(h)
            if level < levels[-1]:
                h = self._resample(h, context, "down", level)
                skips.append(h)
        h = self._middle(h, context)
        for level in reversed(levels):
            for i in range(self.num_res_blocks + 1):
                h = self._block(self._join(h, skips.pop()), context, "up", level, i)
            if level > 0:
                h = self._resample(h, context, "up", level)
        return self._to_image(h, x.shape[-1]).astype(jnp.float32)

    @abc.abstractmethod
    def _embed(self, c: Array, cond: Condition | None) -> Embedding | None:
        """The embedding of time and condition; None if there is none."""

    @abc.abstractmethod
    def _from_image(self, x: Image) -> Any:
        """h of the image."""

    @abc.abstractmethod
    def _block(self, h: Any, context: Context, side: Side, level: int, i: int) -> Any:
        """h after block i of a level, and after what comes with it."""

    @abc.abstractmethod
    def _resample(self, h: Any, context: Context, side: Side, level: int) -> Any:
        """h on the way from a level to the next."""

    @abc.abstractmethod
    def _middle(self, h: Any, context: Context) -> Any:
        """h after the blocks between encoder and decoder."""

    @abc.abstractmethod
    def _join(self, h: Any, skip: Any) -> Any:
        """h of both."""

    @abc.abstractmethod
    def _to_image(self, h: Any, channels: int) -> Array:
        """The image of h."""

    def _channels(self, level: int) -> int:
        return round(self.nf * self.ch_mult[level])
