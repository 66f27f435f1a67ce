"""Pictures: image grids, scatter plots and histograms."""

import importlib.metadata
import json
import math
import pathlib
import platform
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def image_grid(levels: np.ndarray, num_levels: int, *, pixels: int = 640) -> np.ndarray:
    """Images uint8 [N, H, W, C] as one picture uint8 [., ., 3], near-square, one pixel between.

    Args:
      levels: grey levels 0 … num_levels − 1.
      num_levels: number of grey levels; they are stretched to 0 … 255.
      pixels: small images are enlarged, by a whole factor, to about this width in all.
    """
    num, height, width, channels = levels.shape
    columns = math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    scale = max(1, pixels // (columns * width))
    images = (levels.astype(np.float32) * 255 / (num_levels - 1)).round().astype(np.uint8)
    if channels < 3:
        images = images[..., :1].repeat(3, axis=-1)
    images = images[..., :3].repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale + 1, width * scale + 1
    picture = np.full((rows * height + 1, columns * width + 1, 3), 64, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height + 1, i % columns * width + 1
        picture[top : top + height - 1, left : left + width - 1] = image
    return picture


def scatter(points: np.ndarray, *, reference: np.ndarray | None = None) -> np.ndarray:
    """Points [N, 2] as a picture uint8 [., ., 3], over those of `reference` in grey."""
    figure, axes = _figure(6, 6)
    if reference is not None:
        axes.scatter(reference[:, 0], reference[:, 1], s=3, color="0.75", label="data")
    axes.scatter(points[:, 0], points[:, 1], s=3, color="C0", label="samples")
    axes.set_aspect("equal")
    axes.legend(loc="upper right")
    return _drawn(figure)


def histogram(values: np.ndarray, label: str) -> np.ndarray:
    """Values [N] as a picture uint8 [., ., 3], their mean marked."""
    figure, axes = _figure(6, 4)
    axes.hist(values, bins=max(10, min(60, len(values) // 8)), color="C0")
    axes.axvline(np.mean(values), color="black", label=f"mean {np.mean(values):.3f}")
    axes.set_xlabel(label)
    axes.set_ylabel("examples")
    axes.legend(loc="upper right")
    return _drawn(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many hundred pixels, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _drawn(figure: Any) -> np.ndarray:
    """A figure as uint8 [., ., 3]."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def save_png(path: pathlib.Path, picture: np.ndarray, **about: str) -> None:
    """Write a picture uint8 [H, W, 3]; what is said about it goes into its text chunks."""
    text = PngInfo()
    for name, value in about.items():
        text.add_itxt(name, value)
    Image.fromarray(picture).save(path, pnginfo=text)


def save_gif(path: pathlib.Path, pictures: list[np.ndarray]) -> None:
    """Write pictures uint8 [H, W, 3] as an animation that lingers on the last."""
    first, *rest = [Image.fromarray(picture) for picture in pictures]
    lengths = [80] * len(rest) + [1500]
    first.save(path, save_all=True, append_images=rest, duration=lengths, loop=0)


def provenance(command: Sequence[str], seed: int) -> dict[str, str]:
    """What made a picture: for its metadata."""
    versions = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy")}
    return {
        "command": shlex.join(["scoresde", *command[1:]]),
        "seed": str(seed),
        "versions": json.dumps({"python": platform.python_version()} | versions),
    }
