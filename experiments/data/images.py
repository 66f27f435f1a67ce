"""Image files to arrays: decoding, cropping and resizing, many at a time."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.data.dataset import one_line
from experiments.errors import UserError

# From here on reading takes seconds, and a progress bar is worth its line.
MANY = 2000


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
    height, width, _ = _decode(files[0], image_size).shape
    values = np.empty((len(files), height, width, 3), np.uint8)

    def read(row: int) -> bool:
        image = _decode(files[row], image_size)
        if image.shape[:2] != (height, width):
            raise UserError(
                f"data.image_size: images of different sizes, {files[0].name} is {width}x{height} "
                f"and {files[row].name} is {image.shape[1]}x{image.shape[0]}; set data.image_size "
                "to crop and resize them"
            )
        values[row] = image  # a grey image fills all three channels
        return image.shape[2] == 1

    grey = all(_in_parallel(read, range(len(files)), "reading images"))
    return values[..., :1].copy() if grey else values


def resize_images(values: np.ndarray, image_size: int | None) -> np.ndarray:
    """Crops and resizes uint8 [N, H, W, C]; image_size None, or theirs already, leaves them."""
    from PIL import Image

    if image_size is None or values.shape[1:3] == (image_size, image_size):
        return values
    resized = np.empty((len(values), image_size, image_size, values.shape[3]), np.uint8)

    def resize(row: int) -> None:
        for channel in range(values.shape[3]):
            image = Image.fromarray(np.ascontiguousarray(values[row, :, :, channel]))
            resized[row, :, :, channel] = _crop_and_resize(image, image_size)

    _in_parallel(resize, range(len(values)), "resizing images")
    return resized


def _in_parallel(function: Callable[[int], Any], rows: range, title: str) -> list:
    """function of every row, in threads, with a progress bar if there are many."""
    from tqdm import tqdm

    with ThreadPoolExecutor() as pool:
        results: Iterable = pool.map(function, rows)
        # disable=None shows the bar only to a terminal: a log file would get a line per redraw.
        disable = True if len(rows) <= MANY else None
        return list(tqdm(results, title, total=len(rows), disable=disable))


def _decode(source: ImageFile, image_size: int | None) -> np.ndarray:
    """One image, upright and without alpha: uint8 [H, W, 1] or [H, W, 3]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(source.file) as image:
            mode = image.mode
            # Upright first: cropping and resizing are then those of what a viewer shows.
            pixels = _grey_or_rgb(ImageOps.exif_transpose(image))
    except Exception as error:  # a damaged file can make Pillow's decoders raise almost anything
        raise UserError(f"{source.name}: cannot be read as an image ({one_line(error)})") from error
    if pixels is None:
        raise UserError(f"{source.name}: has pixels of mode {mode}; takes 8 bits a channel")
    if image_size is not None:
        pixels = _crop_and_resize(pixels, image_size)
    array = np.asarray(pixels)
    return array[..., None] if array.ndim == 2 else array


def _grey_or_rgb(image):
    """A Pillow image in mode L or RGB, alpha dropped; None where this would cut its depth."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return None
    if image.mode in ("1", "L", "LA", "La"):
        return image.convert("L")
    if image.mode == "P":
        # By way of RGBA: straight to RGB, Pillow warns about a palette with transparency.
        image = image.convert("RGBA")
    return image.convert("RGB")


def _crop_and_resize(image, side: int):
    """The central square of a Pillow image, resampled (antialiased) to side × side."""
    from PIL import Image

    width, height = image.size
    square = min(width, height)
    left, top = (width - square) // 2, (height - square) // 2
    image = image.crop((left, top, left + square, top + square))
    return image.resize((side, side), Image.Resampling.LANCZOS)
