"""The down half of a U-Net, which ends in logits: a classifier of noisy images."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.attention import IMPLEMENTATIONS, Attention
from models.layers.basic import GroupNorm, Image, conv3x3, layer_of, linear, rematerialised
from models.layers.embedding import EMBEDDINGS, TimeEmbedding
from models.layers.resample import check_size
from models.layers.residual import ResidualBlock
from models.layers.winograd import CONVOLUTIONS
from models.registry import check_choices, networks
from sde_lib import Condition, ranged


@networks.register("encoder")
class Encoder(nn.Module):
    """A classifier of an image x, conditioned on a number c that stands for the time.

    Residual blocks down the levels as of NCSN++, then a linear map of the mean over the pixels:

        logits = A mean(silu(norm(h))) + b

    The class of an example is what it is asked for, so that its condition is nothing to it.

    Args:
      nf: channels, times ch_mult[level].
      ch_mult: a number for each level, fine to coarse; the image is halved between levels.
      num_res_blocks: blocks a level.
      attn_resolutions: heights at which pixels attend to each other.
      dropout: rate inside the blocks.
      embedding: "positional" (for c = 999 t) or "fourier" (for c = log σ).
      fourier_scale: standard deviation of the Fourier frequencies of c.
      num_classes: number of logits, which follows from the data.
      attention: how it is computed, "xla" or "cudnn".
      convolution: how those of 3×3 are, one of `winograd.CONVOLUTIONS`.
      remat: keep only what passes between blocks, and compute the rest again for gradients.
      dtype: what to compute in; parameters, what is normalised and the logits stay float32.

    Raises:
      ValueError: an unknown value of a field; no classes; an image that cannot be halved so often.

    Reference: Dhariwal & Nichol 2021, §4.
    """

    outputs: ClassVar[str] = "logits"

    nf: int = ranged(128, low=1)
    ch_mult: tuple[int, ...] = ranged((1, 2, 2, 2), above=0)
    num_res_blocks: int = ranged(2, low=1)
    attn_resolutions: tuple[int, ...] = ranged((16, 8), low=1)
    dropout: float = ranged(0.1, low=0, below=1)
    embedding: str = ranged("positional", choices=EMBEDDINGS)
    fourier_scale: float = ranged(16.0, above=0)
    num_classes: int = ranged(0, low=0)
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
    ) -> Float[Array, "batch {self.num_classes}"]:
        del cond
        if self.num_classes < 1:
            raise ValueError(f"num_classes: got {self.num_classes}, takes the number of labels")
        last = len(self.ch_mult) - 1
        check_size(x, last)
        embed = layer_of(
            self, TimeEmbedding, dim=self.nf, features=4 * self.nf, num_classes=0, name="time"
        )
        e = embed(c, None)
        h = conv3x3(self.nf, convolution=self.convolution, dtype=self.dtype, name="conv_in")(x)
        for level, multiple in enumerate(self.ch_mult):
            for i in range(self.num_res_blocks):
                h = self._residual(f"level_{level}_block_{i}", self.nf * multiple)(h, e, train)
                if h.shape[1] in self.attn_resolutions:
                    attention = rematerialised(Attention, self)
                    name = f"level_{level}_attention_{i}"
                    h = layer_of(self, attention, skip_rescale=True, name=name)(h)
            if level < last:
                h = self._residual(f"level_{level}_down", h.shape[-1], "down")(h, e, train)
        h = nn.silu(GroupNorm(name="norm")(h)).mean((1, 2))
        return linear(self.num_classes, init_scale=0.0, name="out")(h.astype(jnp.float32))

    def _residual(self, name: str, features: int, resample: str = "none") -> ResidualBlock:
        block = rematerialised(ResidualBlock, self, static_argnums=(3,))
        return layer_of(self, block, features=features, resample=resample, name=name)
