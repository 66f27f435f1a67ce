"""An image file to an array: its depth, its transparency, cropping and resizing."""

import contextlib
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.data.notes import say_once
from experiments.data.source import Request, one_line
from experiments.errors import UserError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".pbm", ".pgm", ".ppm", ".pnm"),
)
"""Of the files that are images."""

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""Pillow's names of what such files hold."""

# Pillow's modes of images that become one channel, and three: what 8 bits a channel can hold.
_GREY_MODES = ("1", "L", "LA", "La")
_MODES = (*_GREY_MODES, "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


class ImageFile(NamedTuple):
    """An encoded image and the name by which an error message calls it."""

    name: str
    file: Path | BytesIO


class Decoding(NamedTuple):
    """How an encoded image becomes an array.

    Args:
      source: the name of the data source, for what is said of its images.
      image_size: side of the square that it is cropped and resized to; None leaves it.
      background: the colour of 0..255 that transparent images are composed over; None keeps their
        alpha, as the last of four channels.
    """

    source: str
    image_size: int | None
    background: tuple[int, ...] | None

    @classmethod
    def of(cls, request: Request) -> "Decoding":
        """The decoding that a request asks for."""
        return cls(request.source, request.image_size, request.background)


def decode_image(
    source: ImageFile, decoding: Decoding, place: np.ndarray | None = None
) -> np.ndarray:
    """One image, upright: uint8 [H, W, C], C being 1 of grey ones, 3, or 4 where alpha is kept.

    Args:
      source: the image.
      decoding: how.
      place: float [2] in [0, 1), where between left and right (top and bottom) the square that is
        kept lies; None: in the centre.

    Raises:
      UserError: it is damaged, is several images, or has more than 8 bits a channel.
    """
    from PIL import ImageOps

    with opened(source) as image:
        _check_whole(source.name, image)
        # Upright first: cropping and resizing are then those of what a viewer shows.
        upright = ImageOps.exif_transpose(image)
        pixels = _pixels(upright, decoding)
    if decoding.image_size is not None:
        pixels = crop_and_resize(pixels, decoding.image_size, place)
    array = np.asarray(pixels)
    return array[..., None] if array.ndim == 2 else array


@contextlib.contextmanager
def opened(source: ImageFile) -> Iterator[Any]:
    """A Pillow image, and any error of what is done with it as the user's."""
    from PIL import Image

    try:
        with Image.open(source.file, formats=_FORMATS) as image:
            yield image
    except UserError:
        raise
    except Exception as error:  # a damaged file can make Pillow's decoders raise almost anything
        raise UserError(f"{source.name}: cannot be read as an image ({one_line(error)})") from error


def _check_whole(name: str, image: Any) -> None:
    """Refuses an image of which Pillow would give a part alone: fewer bits, or the first of many.

    Raises:
      UserError: it is one.
    """
    mode = _stored_mode(image)
    # The letter is the order of the bytes; "BGR;16" has none and 5 or 6 bits a channel.
    if image.mode not in _MODES or re.search(";16[BLN]", mode):
        raise UserError(f"{name}: has pixels of mode {mode}; takes 8 bits a channel, grey or RGB")
    # An MPO is a JPEG with previews, as cameras make them.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise UserError(f"{name}: holds {image.n_frames} images; takes one a file")


def _stored_mode(image: Any) -> str:
    """The mode of the pixels in the file, such as "RGB;16B" of what Pillow reads as "RGB"."""
    for codec, _, _, args in image.tile[:1]:
        stored, *rest = (args,) if isinstance(args, str) else args
        # The second is the largest value, 255 of 8 bits.
        if codec.startswith("ppm") and rest and rest[0] > 255:
            return f"{stored};16B"
        if isinstance(stored, str):
            return stored
    return image.mode


def count_channels(image: Any, background: tuple[int, ...] | None) -> int:
    """The number of channels that an opened image has once it is decoded: 1, 3 or 4."""
    if background is None:
        return 4
    grey = not _has_alpha(image) or len(set(background)) == 1
    return 1 if image.mode in _GREY_MODES and grey else 3


def _has_alpha(image: Any) -> bool:
    return image.mode[-1] in "Aa" or "transparency" in image.info


def _pixels(image: Any, decoding: Decoding) -> Any:
    """A Pillow image in mode L, RGB, or RGBA where alpha is kept."""
    channels = count_channels(image, decoding.background)
    if decoding.background is None:
        return _rgba(image)
    if not _has_alpha(image):
        return image.convert("L" if channels == 1 else "RGB")
    return _composed(_rgba(image), channels, decoding)


def _rgba(image: Any) -> Any:
    # A small "a" is of colours that are multiplied by alpha, which convert to those that are not.
    return image.convert(image.mode.replace("a", "A")).convert("RGBA")


def _composed(image: Any, channels: int, decoding: Decoding) -> Any:
    """An RGBA image over a colour b: a c + (1 − a) b of each colour c, a in [0, 1], rounded."""
    from PIL import Image

    layers = np.asarray(image).astype(np.uint32)
    alpha, background = layers[..., 3:], np.array(decoding.background, np.uint32)
    if alpha.min() < 255:
        say_once(
            f"{decoding.source}: transparent images are composed over data.background, RGB "
            f"{decoding.background}; data.alpha=keep keeps four channels"
        )
    # Adding half of the divisor rounds to the nearest level.
    over = (alpha * layers[..., :3] + (255 - alpha) * background + 127) // 255
    over = over.astype(np.uint8)
    return Image.fromarray(over[..., 0] if channels == 1 else over)


def crop_and_resize(image: Any, side: int, place: np.ndarray | None) -> Any:
    """The largest square of a Pillow image, resampled (antialiased) to side × side.

    Args:
      image: the image.
      side: of the square, in pixels, afterwards.
      place: float [2] in [0, 1), where between left and right (top and bottom) the square lies;
        None: in the centre.
    """
    from PIL import Image

    width, height = image.size
    square = min(width, height)
    free = np.array([width - square, height - square])
    corner = free // 2 if place is None else np.floor(place * (free + 1)).astype(int)
    left, top = corner.tolist()
    image = image.crop((left, top, left + square, top + square))
    return image.resize((side, side), Image.Resampling.LANCZOS)
