"""How images are made the size that a network takes: the largest hidden difference between FIDs.

    tf1     bilinear without antialiasing as TensorFlow 1 has it: pixel i is taken at i·r    (1)
    torch   bilinear without antialiasing, by the pixels' centres: at (i + ½)·r − ½          (2)
    clean   PIL's bicubic, antialiased, of each channel in float, cut to [0, 255]
    pil     PIL's bicubic, antialiased, of the image in grey levels

with r = old size/new size. The first is the Fréchet distance's own, the second that of its PyTorch
versions; the third was made so that resizing by itself moves no distance.

Reference: Parmar et al., "On aliased resizing and surprising subtleties in GAN evaluation" (2022).
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.data.parallel import in_parallel
from sde_lib import Registry


class Resize:
    """From images uint8 [B, H, W, 3] to float32 [B, side, side, 3] in [0, 255].

    It has two parts, of which one does nothing: what the host does, and what belongs to the
    network's program.
    """

    def on_host(self, images: np.ndarray, side: int) -> np.ndarray:
        """The first part; it may return the images as they are."""
        return images

    def on_device(self, images: Array, side: int) -> Array:
        """The second; of float32, traced."""
        return images

    def __call__(self, images: np.ndarray, side: int) -> Array:
        """Both."""
        return self.on_device(jnp.asarray(self.on_host(images, side), jnp.float32), side)


resizes = Registry("resize", Resize)


class Bilinear(Resize):
    """Each new pixel from its two neighbours, along one axis after the other.

    Args:
      places: from the new pixels' numbers and r to where they lie among the old ones.
    """

    def __init__(self, places: Callable[[np.ndarray, float], np.ndarray]):
        self._places = places

    def on_device(self, images: Array, side: int) -> Array:
        down, across = (self._weights(size, side) for size in images.shape[1:3])
        halfway = jnp.einsum("ih,bhwc->biwc", down, images, precision="highest")
        return jnp.einsum("jw,biwc->bijc", across, halfway, precision="highest")

    def _weights(self, size: int, side: int) -> np.ndarray:
        """What each new pixel takes of each old one, [side, size]; at the border, of the last."""
        place = self._places(np.arange(side), size / side).clip(0, size - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, size - 1)
        weights = np.zeros((side, size))
        np.add.at(weights, (np.arange(side), low), 1 - (place - low))
        np.add.at(weights, (np.arange(side), high), place - low)
        return weights.astype(np.float32)


class PIL(Resize):
    """PIL's antialiased bicubic.

    Args:
      in_float: of each channel in float, so that nothing is rounded.
    """

    def __init__(self, in_float: bool):
        self._in_float = in_float

    def on_host(self, images: np.ndarray, side: int) -> np.ndarray:
        def resized(row: int) -> np.ndarray:
            if not self._in_float:
                return _bicubic(images[row], side)
            channels = np.moveaxis(images[row].astype(np.float32), -1, 0)
            return np.stack([_bicubic(channel, side) for channel in channels], axis=-1)

        made = np.stack(in_parallel(resized, range(len(images)), "resizing images"))
        return made.clip(0, 255)


def _bicubic(image: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    resized = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized)


resizes.register("tf1")(Bilinear(lambda i, r: i * r))
resizes.register("torch")(Bilinear(lambda i, r: (i + 0.5) * r - 0.5))
resizes.register("clean")(PIL(in_float=True))
resizes.register("pil")(PIL(in_float=False))
