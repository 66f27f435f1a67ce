"""Inception-v3 as the Fréchet distance of images takes it: the graph of 2015-12-05.

It differs from later ones of that name: averages at borders are over the pixels that there are, the
last block takes a maximum where others average, and there are 1008 logits.

Reference: Szegedy et al., "Rethinking the Inception architecture" (2015), §6; Heusel et al., "GANs
trained by a two time-scale update rule" (2017), for its use.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.features.fixed_norm import FixedNorm, Map
from models.layers.basic import Image

_average = partial(
    nn.avg_pool, window_shape=(3, 3), strides=(1, 1), padding="SAME", count_include_pad=False
)
_largest = partial(nn.max_pool, window_shape=(3, 3), strides=(1, 1), padding="SAME")
_shrunk = partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2))


class InceptionOutputs(NamedTuple):
    """What Inception makes of images, from early to late.

    Args:
      pool_1: after the first pooling, [B, ., ., 64].
      pool_2: after the second, [B, ., ., 192].
      mixed_6e: after the last block of that resolution, [B, ., ., 768].
      pool_3: the mean over the last pixels: the features, [B, 2048].
      logits_unbiased: of the classes, without their biases: the Inception score's, [B, 1008].
      logits: with them.
    """

    pool_1: Map
    pool_2: Map
    mixed_6e: Map
    pool_3: Float[Array, "batch dim"]
    logits_unbiased: Float[Array, "batch classes"]
    logits: Float[Array, "batch classes"]


class Convolution(nn.Module):
    """relu(norm(K ∗ x)).

    Args:
      features: channels.
      kernel: height and width.
      stride: of both.
      padding: "VALID", or "SAME" for the size of x at stride 1.
    """

    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x: Image) -> Map:
        x = nn.Conv(
            self.features,
            self.kernel,
            strides=self.stride,
            padding=self.padding,
            use_bias=False,
            name="conv",
        )(x)
        return nn.relu(FixedNorm(name="bn")(x))


class Inception(nn.Module):
    """The network, of images [B, H, W, 3] in [-1, 1], 299 pixels a side as it was trained.

    Parameters are called as in the published files, so that to read one is to transpose it.

    Args:
      num_classes: number of logits.
    """

    num_classes: int = 1008

    @nn.compact
    def __call__(self, x: Image) -> InceptionOutputs:
        x = Convolution(32, (3, 3), 2, "VALID", name="Conv2d_1a_3x3")(x)
        x = Convolution(32, (3, 3), 1, "VALID", name="Conv2d_2a_3x3")(x)
        pool_1 = _shrunk(Convolution(64, (3, 3), name="Conv2d_2b_3x3")(x))
        x = Convolution(80, name="Conv2d_3b_1x1")(pool_1)
        pool_2 = _shrunk(Convolution(192, (3, 3), 1, "VALID", name="Conv2d_4a_3x3")(x))
        x = BlockA(32, name="Mixed_5b")(pool_2)
        x = BlockA(64, name="Mixed_5c")(x)
        x = BlockA(64, name="Mixed_5d")(x)
        x = BlockB(name="Mixed_6a")(x)
        for name, channels in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
            x = BlockC(channels, name=f"Mixed_6{name}")(x)
        mixed_6e = x
        x = BlockD(name="Mixed_7a")(x)
        x = BlockE(_average, name="Mixed_7b")(x)
        x = BlockE(_largest, name="Mixed_7c")(x)
        pool_3 = x.mean(axis=(1, 2))
        unbiased, logits = Logits(self.num_classes, name="fc")(pool_3)
        return InceptionOutputs(pool_1, pool_2, mixed_6e, pool_3, unbiased, logits)


class Logits(nn.Module):
    """A linear map, without and with its bias.

    Args:
      num_classes: number of logits.
    """

    num_classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch dim"]) -> tuple[Array, Array]:
        shape = (x.shape[-1], self.num_classes)
        unbiased = x @ self.param("kernel", nn.initializers.lecun_normal(), shape)
        return unbiased, unbiased + self.param("bias", nn.initializers.zeros, shape[1:])


class _Block(nn.Module):
    """Branches side by side, whose channels are joined."""

    def _chain(self, x: Image, name: str, *layers: tuple) -> Map:
        """Convolutions one after the other, called name_1, name_2, …"""
        for number, layer in enumerate(layers, 1):
            x = Convolution(*layer, name=f"{name}_{number}")(x)
        return x


class BlockA(_Block):
    """1×1, 5×5, twice 3×3, and an average.

    Args:
      pool_features: channels of the average's branch.
    """

    pool_features: int

    @nn.compact
    def __call__(self, x: Image) -> Map:
        branches = [
            Convolution(64, name="branch1x1")(x),
            self._chain(x, "branch5x5", (48,), (64, (5, 5))),
            self._chain(x, "branch3x3dbl", (64,), (96, (3, 3)), (96, (3, 3))),
            Convolution(self.pool_features, name="branch_pool")(_average(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


class BlockB(_Block):
    """Half the resolution: 3×3, twice 3×3, and a maximum."""

    @nn.compact
    def __call__(self, x: Image) -> Map:
        half = ((3, 3), 2, "VALID")
        branches = [
            Convolution(384, *half, name="branch3x3")(x),
            self._chain(x, "branch3x3dbl", (64,), (96, (3, 3)), (96, *half)),
            _shrunk(x),
        ]
        return jnp.concatenate(branches, axis=-1)


class BlockC(_Block):
    """7×7 as 1×7 and 7×1, once and twice, beside 1×1 and an average.

    Args:
      channels: of the factors.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Image) -> Map:
        c, wide, high = self.channels, (1, 7), (7, 1)
        twice = (c,), (c, high), (c, wide), (c, high), (192, wide)
        branches = [
            Convolution(192, name="branch1x1")(x),
            self._chain(x, "branch7x7", (c,), (c, wide), (192, high)),
            self._chain(x, "branch7x7dbl", *twice),
            Convolution(192, name="branch_pool")(_average(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


class BlockD(_Block):
    """Half the resolution: 3×3, 7×7 and 3×3, and a maximum."""

    @nn.compact
    def __call__(self, x: Image) -> Map:
        half = ((3, 3), 2, "VALID")
        branches = [
            self._chain(x, "branch3x3", (192,), (320, *half)),
            self._chain(x, "branch7x7x3", (192,), (192, (1, 7)), (192, (7, 1)), (192, *half)),
            _shrunk(x),
        ]
        return jnp.concatenate(branches, axis=-1)


class BlockE(nn.Module):
    """3×3 as 1×3 beside 3×1, once and after a 3×3, beside 1×1 and a pooling.

    Args:
      pool: the average or the maximum of 3×3 pixels.
    """

    pool: Callable[[Image], Image]

    @nn.compact
    def __call__(self, x: Image) -> Map:
        once = Convolution(384, name="branch3x3_1")(x)
        twice = Convolution(448, name="branch3x3dbl_1")(x)
        twice = Convolution(384, (3, 3), name="branch3x3dbl_2")(twice)
        branches = [
            Convolution(320, name="branch1x1")(x),
            Convolution(384, (1, 3), name="branch3x3_2a")(once),
            Convolution(384, (3, 1), name="branch3x3_2b")(once),
            Convolution(384, (1, 3), name="branch3x3dbl_3a")(twice),
            Convolution(384, (3, 1), name="branch3x3dbl_3b")(twice),
            Convolution(192, name="branch_pool")(self.pool(x)),
        ]
        return jnp.concatenate(branches, axis=-1)
