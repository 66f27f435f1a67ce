"""Image files to arrays: decoding, cropping and resizing."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.data.dataset import one_line
from experiments.errors import UserError

# From here on reading takes seconds, and a progress bar is worth its line.
MANY = 2000

# Pillow's modes of images that become one channel.
GREY_MODES = ("1", "L", "LA", "La")


class ImageFile(NamedTuple):
    """An encoded image and the name by which an error message calls it."""

    name: str
    file: Path | BytesIO


def read_images(files: Sequence[ImageFile], image_size: int | None) -> np.ndarray:
    """Decodes images of one size, in a pool of threads (Pillow frees the interpreter meanwhile).

    Args:
      files: one or more images.
      image_size: side of the square to crop and resize each to; None: they must have one size.

    Returns:
      uint8 [N, H, W, C]: C is 1 where all are stored as grey images, otherwise 3.

    Raises:
      UserError: an image is damaged, has more than 8 bits a channel, or differs in size.
    """
    height, width, _ = decode_image(files[0], image_size).shape
    values = np.empty((len(files), height, width, 3), np.uint8)

    def read(row: int) -> bool:
        return decode_into(values[row], files[row], image_size, files[0].name)

    grey = all(in_parallel(read, range(len(files)), "reading images"))
    return values[..., :1].copy() if grey else values


def decode_batch(
    files: Sequence[ImageFile],
    image_size: int | None,
    shape: tuple[int, ...],
    first: str,
    places: np.ndarray | None,
) -> np.ndarray:
    """Decodes images of a known shape, one after the other.

    Args:
      files: B images.
      image_size: side of the square to crop and resize each to; None: they must have one size.
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
        decode_into(values[row], file, image_size, first, None if places is None else places[row])
    return values


def decode_into(
    out: np.ndarray,
    source: ImageFile,
    image_size: int | None,
    first: str,
    place: np.ndarray | None = None,
) -> bool:
    """Decodes an image into `out` [H, W, C], which has the size of the image called `first`.

    Returns:
      Whether it is stored as a grey image, which fills all the channels.

    Raises:
      UserError: it is damaged, has more than 8 bits a channel, or differs in size or colour.
    """
    image = decode_image(source, image_size, place)
    if image.shape[:2] != out.shape[:2]:
        raise different_sizes(first, out.shape, source.name, image.shape)
    if image.shape[2] > out.shape[2]:
        raise UserError(f"{source.name}: is a colour image; takes grey ones, as {first} is")
    out[...] = image
    return image.shape[2] == 1


def different_sizes(
    first: str, first_shape: tuple[int, ...], other: str, shape: tuple[int, ...]
) -> UserError:
    """The error for two images of shapes [H, W, C] that are not resized to one."""
    return UserError(
        f"data.image_size: images of different sizes, {first} is {first_shape[1]}x{first_shape[0]} "
        f"and {other} is {shape[1]}x{shape[0]}; set data.image_size to crop and resize them"
    )


def count_channels(files: Sequence[ImageFile]) -> int:
    """1 where all the images are stored as grey ones, otherwise 3, by their headers alone.

    Raises:
      UserError: a file is no image.
    """
    # Most sets are colour sets, which their first image tells.
    grey = _is_grey(files[0]) and all(
        in_parallel(lambda row: _is_grey(files[row]), range(len(files)), "reading image headers")
    )
    return 1 if grey else 3


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
    """Crops uint8 [H, W, C] at `place`, or in the centre, and resizes it to a square."""
    from PIL import Image

    channels = [
        Image.fromarray(np.ascontiguousarray(channel)) for channel in pixels.transpose(2, 0, 1)
    ]
    return np.stack([_crop_and_resize(channel, image_size, place) for channel in channels], axis=-1)


def in_parallel(function: Callable[[int], Any], rows: range, title: str) -> list:
    """function of every row, in threads, with a progress bar if there are many."""
    from tqdm import tqdm

    with ThreadPoolExecutor() as pool:
        results: Iterable = pool.map(function, rows)
        # disable=None shows the bar only to a terminal: a log file would get a line per redraw.
        disable = True if len(rows) <= MANY else None
        return list(tqdm(results, title, total=len(rows), disable=disable))


def decode_image(
    source: ImageFile, image_size: int | None, place: np.ndarray | None = None
) -> np.ndarray:
    """One image, upright and without alpha: uint8 [H, W, 1] or [H, W, 3].

    Args:
      source: the image.
      image_size: side of the square to crop and resize it to; None leaves it.
      place: float [2] in [0, 1), where between left and right (top and bottom) the square that is
        kept lies; None: in the centre.

    Raises:
      UserError: it is damaged, or has more than 8 bits a channel.
    """
    from PIL import ImageOps

    with _opened(source) as image:
        mode = image.mode
        # Upright first: cropping and resizing are then those of what a viewer shows.
        pixels = _grey_or_rgb(ImageOps.exif_transpose(image))
    if pixels is None:
        raise UserError(f"{source.name}: has pixels of mode {mode}; takes 8 bits a channel")
    if image_size is not None:
        pixels = _crop_and_resize(pixels, image_size, place)
    array = np.asarray(pixels)
    return array[..., None] if array.ndim == 2 else array


@contextlib.contextmanager
def _opened(source: ImageFile) -> Iterator[Any]:
    """A Pillow image, and any error of what is done with it as the user's."""
    from PIL import Image

    try:
        with Image.open(source.file) as image:
            yield image
    except Exception as error:  # a damaged file can make Pillow's decoders raise almost anything
        raise UserError(f"{source.name}: cannot be read as an image ({one_line(error)})") from error


def _is_grey(source: ImageFile) -> bool:
    with _opened(source) as image:
        return image.mode in GREY_MODES


def _grey_or_rgb(image):
    """A Pillow image in mode L or RGB, alpha dropped; None where this would cut its depth."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return None
    if image.mode in GREY_MODES:
        return image.convert("L")
    if image.mode == "P":
        # By way of RGBA: straight to RGB, Pillow warns about a palette with transparency.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _crop_and_resize(image, side: int, place: np.ndarray | None):
    """A square of a Pillow image, as large as it has, resampled (antialiased) to side × side."""
    from PIL import Image

    width, height = image.size
    square = min(width, height)
    free = np.array([width - square, height - square])
    corner = free // 2 if place is None else np.floor(place * (free + 1)).astype(int)
    left, top = corner.tolist()
    image = image.crop((left, top, left + square, top + square))
    return image.resize((side, side), Image.Resampling.LANCZOS)
