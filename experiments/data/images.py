"""Many images to one array, of one size and one number of channels."""

from collections.abc import Sequence

import numpy as np

from experiments.data.decoding import (
    Decoding,
    ImageFile,
    count_channels,
    crop_and_resize,
    decode_image,
    opened,
)
from experiments.data.parallel import in_parallel
from experiments.errors import UserError


def decode_batch(
    files: Sequence[ImageFile],
    decoding: Decoding,
    shape: tuple[int, ...],
    first: str,
    places: np.ndarray | None,
) -> np.ndarray:
    """Decodes images of a known shape, one after the other.

    Args:
      files: B images.
      decoding: how; without an image size they must have one size.
      shape: (H, W, C).
      first: the name of an image of this shape.
      places: float [B, 2], where each is cropped; None: in the centre.

    Returns:
      uint8 [B, H, W, C].

    Raises:
      UserError: an image is damaged, has more than 8 bits a channel, or differs in size or colour.
    """
    values = np.empty((len(files), *shape), np.uint8)
    for row, file in enumerate(files):
        image = decode_image(file, decoding, None if places is None else places[row])
        if image.shape[:2] != shape[:2]:
            raise different_sizes(first, shape, file.name, image.shape)
        if image.shape[2] > shape[2]:
            raise UserError(f"{file.name}: is a colour image; takes grey ones, as {first} is")
        values[row] = image  # a grey image fills all the channels
    return values


def different_sizes(
    first: str, first_shape: tuple[int, ...], other: str, shape: tuple[int, ...]
) -> UserError:
    """The error for two images that differ in size and are not resized.

    Args:
      first, first_shape: the name of one and its shape (H, W, C).
      other, shape: of the other.
    """
    return UserError(
        f"data.image_size: images of different sizes, {first} is {first_shape[1]}x{first_shape[0]} "
        f"and {other} is {shape[1]}x{shape[0]}; takes the side of squares to crop and resize them "
        "to, as data.image_size=64"
    )


def channels_of_all(files: Sequence[ImageFile], decoding: Decoding) -> int:
    """4 where alpha is kept, else 1 where all the images are grey, else 3, by their headers alone.

    Raises:
      UserError: a file is no image.
    """

    def channels(row: int) -> int:
        with opened(files[row]) as image:
            return count_channels(image, decoding.background)

    # Most sets are colour sets, which their first image tells.
    first = channels(0)
    if first > 1:
        return first
    return max(in_parallel(channels, range(len(files)), "reading image headers"))


def resize_images(values: np.ndarray, image_size: int | None) -> np.ndarray:
    """Crops and resizes uint8 [N, H, W, C]; image_size None, or theirs already, leaves them."""
    if image_size is None or values.shape[1:3] == (image_size, image_size):
        return values
    resized = np.empty((len(values), image_size, image_size, values.shape[3]), np.uint8)

    def resize(row: int) -> None:
        resized[row] = resize_image(values[row], image_size)

    in_parallel(resize, range(len(values)), "resizing images")
    return resized


def resize_image(
    pixels: np.ndarray, image_size: int, place: np.ndarray | None = None
) -> np.ndarray:
    """Crops an image to its largest square and resizes it.

    Args:
      pixels: uint8 [H, W, C].
      image_size: side of the square afterwards.
      place: where the square lies, as of `decode_image`.

    Returns:
      uint8 [image_size, image_size, C].
    """
    from PIL import Image

    channels = [
        Image.fromarray(np.ascontiguousarray(channel)) for channel in pixels.transpose(2, 0, 1)
    ]
    return np.stack([crop_and_resize(channel, image_size, place) for channel in channels], axis=-1)


def box_filter(pixels: np.ndarray, side: int) -> np.ndarray:
    """The mean over the area of each pixel of a smaller square, which may cover parts of pixels.

    Args:
      pixels: whole numbers [H, H, C].
      side: of the square afterwards, at most H.

    Returns:
      float64 [side, side, C], rounded once.
    """
    height = len(pixels)
    if side == height:
        return pixels.astype(np.float64)
    sums = _sums_over_lengths(pixels.astype(np.int64), side)
    sums = _sums_over_lengths(sums.swapaxes(0, 1), side).swapaxes(0, 1)
    return sums / height**2


def _sums_over_lengths(rows: np.ndarray, num: int) -> np.ndarray:
    """`num` sums of rows [H, ...] over equal lengths of H/num rows each, times num."""
    total = np.cumsum(rows, axis=0) - rows  # of the rows before each
    # The ends of the lengths lie in these rows, after `part`/num of each.
    row, part = np.divmod(np.arange(num) * len(rows), num)
    part = part.reshape(-1, *[1] * (rows.ndim - 1))
    ends = num * total[row] + part * rows[row]
    return np.diff(ends, axis=0, append=num * rows.sum(0, keepdims=True))
