"""Features of images by a published network: resized as a protocol says, in the network's units."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.config_schema.lookup import lookup
from experiments.data import Codec, Split
from experiments.errors import UserError
from experiments.evaluation.features.extractor import Extracted, check_shape
from experiments.evaluation.features.network import BatchedNetwork
from experiments.evaluation.resize import resizes


class ImageExtractor:
    """A network of colour images with 256 levels, of any data set of images.

    Grey images get three equal channels, and fewer levels are spread from 0 to 255.

    Args:
      name: of the features, in messages and the protocol.
      train: the training split.
      resize: a name in `resizes`.
      side: of the images that the network takes.
      apply: from parameters and images float32 [B, side, side, 3] in [0, 255] to features, and
        probabilities or None.
      params: the parameters.
      dim, num_classes: how many features and classes there are.
      protocol: what they follow from besides.

    Raises:
      UserError: the data are no such images, or there is no such resize.
    """

    def __init__(
        self,
        name: str,
        train: Split,
        *,
        resize: str,
        side: int,
        apply: Callable[[Any, Any], tuple[Any, Any]],
        params: Any,
        dim: int,
        num_classes: int,
        protocol: dict[str, Any],
    ):
        check_images(name, train)
        resized = lookup(resizes, resize, f"--features: {name}: resize")
        self.dim, self.num_classes = dim, num_classes
        self.protocol = {"name": name, "resize": resize, "side": side, **protocol}
        self._shape = train.shape

        def prepare(values: np.ndarray) -> np.ndarray:
            return resized.on_host(in_colour(values, train.codec), side)

        def program(params: Any, images: Any) -> tuple[Any, Any]:
            return apply(params, resized.on_device(images.astype("float32"), side))

        self._network = BatchedNetwork(program, params, prepare)

    def __call__(self, values: np.ndarray) -> Extracted:
        check_shape(values, self._shape)
        return self._network(values)


def check_images(name: str, train: Split) -> None:
    """Stop data that are no grey or colour images in levels.

    Raises:
      UserError: they are.
    """
    shape, dtype = train.shape, np.dtype(train.codec.dtype)
    if len(shape) != 3 or shape[-1] not in (1, 3) or dtype != np.uint8:
        raise UserError(
            f"--features: {name}: got {dtype} data of shape {shape}, takes images uint8 "
            "[height, width, 1 or 3]; or pixels"
        )


def in_colour(values: np.ndarray, codec: Codec) -> np.ndarray:
    """Images of the data as uint8 [B, H, W, 3], 0 for black and 255 for white."""
    bright = codec.brightness(values)
    return np.repeat(bright, 3, axis=-1) if bright.shape[-1] == 1 else bright
