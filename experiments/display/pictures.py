"""Pictures: image grids, plots of points, and histograms."""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from experiments import paths
from experiments.runtime.atomic_files import file_at_once
from experiments.runtime.versions import versions

_COLOURS = {"data": "0.75", "samples": "C0"}


def image_grid(images: np.ndarray, *, columns: int | None = None, pixels: int = 640) -> np.ndarray:
    """Images uint8 [N, H, W, C] as one picture uint8 [., ., 3], one pixel between.

    Args:
      images: from 0 for black to 255 for white.
      columns: images of a row; None for a near-square picture.
      pixels: small images are enlarged, by a whole factor, to about this width in all.
    """
    num, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    scale = max(1, pixels // (columns * width))
    if channels < 3:
        images = images[..., :1].repeat(3, axis=-1)
    images = images[..., :3].repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale + 1, width * scale + 1
    picture = np.full((rows * height + 1, columns * width + 1, 3), 64, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height + 1, i % columns * width + 1
        picture[top : top + height - 1, left : left + width - 1] = image
    return picture


def beside(images: np.ndarray, others: np.ndarray, *, pixels: int = 640) -> np.ndarray:
    """Images uint8 [N, H, W, C] in a column, each with others [N, K, H, W, C] in a row beside it.

    Args:
      images: from 0 for black to 255 for white.
      others: likewise.
      pixels: small images are enlarged, by a whole factor, to about this width in all.
    """
    _, each, *shape = others.shape
    width = pixels // (each + 1)
    left = image_grid(images, columns=1, pixels=width)
    right = image_grid(others.reshape(-1, *shape), columns=each, pixels=width * each)
    gap = np.full((len(left), max(2, left.shape[1] // 8), 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def plot(points: np.ndarray, *, reference: np.ndarray | None = None) -> np.ndarray:
    """Points [N, D] as a picture uint8 [., ., 3], over those of `reference` in grey.

    Of one coordinate it is a histogram, of two a scatter plot, of more a scatter plot along the two
    directions in which the reference, or without one the points, vary most.
    """
    layers = {"samples": points.astype(np.float64)}
    if reference is not None:
        layers = {"data": reference.astype(np.float64)} | layers
    if points.shape[1] == 1:
        return _densities({name: values[:, 0] for name, values in layers.items()})
    if points.shape[1] == 2:
        return _scatter(layers, "", "")
    mean, directions, shares = principal(next(iter(layers.values())))
    flat = {name: (values - mean) @ directions for name, values in layers.items()}
    labels = [f"direction {k}: {share:.0%} of the variance" for k, share in enumerate(shares, 1)]
    return _scatter(flat, *labels)


def _scatter(layers: dict[str, np.ndarray], x_label: str, y_label: str) -> np.ndarray:
    """Points [N, 2] by what they are, the later over the earlier."""
    figure, axes = _figure(6, 6)
    for name, points in layers.items():
        axes.scatter(points[:, 0], points[:, 1], s=3, color=_COLOURS[name], label=name)
    axes.set_aspect("equal")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(loc="upper right")
    return _drawn(figure)


def _densities(layers: dict[str, np.ndarray]) -> np.ndarray:
    """Histograms of numbers [N] by what they are, each of area 1, over the same bins."""
    figure, axes = _figure(6, 4)
    everything = np.concatenate(list(layers.values()))
    edges = np.histogram_bin_edges(everything, bins=_num_bins(everything))
    for name, values in layers.items():
        filled = "stepfilled" if name == "data" else "step"
        axes.hist(
            values, bins=edges, density=True, histtype=filled, color=_COLOURS[name], label=name
        )
    axes.set_ylabel("density")
    axes.legend(loc="best")
    return _drawn(figure)


def principal(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean [D] of points [N, D], the two directions of most variance [D, 2], its shares [2]."""
    mean = points.mean(axis=0)
    # With two rows of zeros there are two directions even of a single point.
    rows = np.concatenate([points - mean, np.zeros((2, len(mean)))])
    _, scales, directions = np.linalg.svd(rows, full_matrices=False)
    return mean, directions[:2].T, scales[:2] ** 2 / max(np.sum(scales**2), np.finfo(float).tiny)


def histogram(values: np.ndarray, label: str) -> np.ndarray:
    """Values [N] as a picture uint8 [., ., 3], their mean marked."""
    figure, axes = _figure(6, 4)
    axes.hist(values, bins=_num_bins(values), color="C0")
    axes.axvline(np.mean(values), color="black", label=f"mean {np.mean(values):.3f}")
    axes.set_xlabel(label)
    axes.set_ylabel("examples")
    axes.legend(loc="upper right")
    return _drawn(figure)


def _num_bins(values: np.ndarray) -> int:
    return max(10, min(60, len(values) // 8))


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
        # A file's name may be no text.
        text.add_itxt(name, value.encode("utf-8", "backslashreplace").decode("utf-8"))
    with file_at_once(path) as file:
        Image.fromarray(picture).save(file, format="PNG", pnginfo=text)


def save_gif(path: pathlib.Path, pictures: list[np.ndarray]) -> None:
    """Write pictures uint8 [H, W, 3] as an animation that lingers on the last."""
    first, *rest = [Image.fromarray(picture) for picture in pictures]
    lengths = [80] * len(rest) + [1500]
    with file_at_once(path) as file:
        first.save(file, "GIF", save_all=True, append_images=rest, duration=lengths, loop=0)


def provenance(command: Sequence[str], seed: int) -> dict[str, str]:
    """What made a picture: for its metadata."""
    return {
        "command": paths.command(*command[1:]),
        "seed": str(seed),
        "versions": json.dumps(versions()),
    }
