"""Pictures of the page: samples of every cell from the same latents, animations, neighbours.

Sample i depends on the seed and on i alone, so the first samples of all cells, at the first seed,
start from the same latents.
"""

import base64
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from experiments.display.pictures import principal
from experiments.report.figure import as_csv, data_uri
from experiments.report.study import Cell, Study
from experiments.runtime.array_files import UNREADABLE

_SIDE = 200
"""Pixels of a picture of points; one of images has up to twice as many."""
_MAX_POINTS, _POINTS_IN_ALL = 1000, 8000
_MAX_ANIMATIONS, _MAX_BYTES = 12, 2_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of one cell.

    Args:
      cell: its number.
      label: the cell's name.
      uri: the picture itself.
      width, height: in pixels.
      says: what it shows, for those who do not see it.
      data_uri: its numbers; "" where the picture is the data.
      data_name: of the file of numbers.
    """

    cell: int
    label: str
    uri: str
    width: int
    height: int
    says: str
    data_uri: str = ""
    data_name: str = ""


def samples(study: Study) -> list[Picture]:
    """A picture a cell whose samples are there: a grid of images, or a cloud of points."""
    found = [(cell, file) for cell in study.cells if (file := next(iter(_samples_of(cell)), None))]
    points = [(cell, x) for cell, file in found if (x := _points(file)) is not None]
    most = min(_MAX_POINTS, _POINTS_IN_ALL // max(1, len(points)))
    plane = _Plane.of([x[:most] for _, x in points]) if points else None
    clouds = {cell.number: _cloud(cell, x[:most], plane) for cell, x in points if plane}
    drawn = [clouds.get(cell.number) or _grid(cell, file) for cell, file in found]
    return [picture for picture in drawn if picture is not None]


def animations(study: Study) -> list[Picture]:
    """The trajectories that were drawn, as they are."""
    found = [(cell, _beside(file, ".gif")) for cell in study.cells for file in _samples_of(cell)]
    return _files(found, "the way of samples from noise to data")


def neighbours(study: Study) -> list[Picture]:
    """Samples beside their nearest training examples, where an evaluation drew them."""
    evaluated = [
        (cell, run.evaluation) for cell in study.cells for run in cell.runs if run.evaluation
    ]
    found = [(cell, _beside(file, ".nearest.png")) for cell, file in evaluated]
    return _files(found, "samples beside their nearest training examples")


def _samples_of(cell: Cell) -> list[pathlib.Path]:
    return [run.samples for run in cell.runs if run.samples is not None]


def _points(file: pathlib.Path) -> np.ndarray | None:
    """Points [N, D] of samples that are no images."""
    try:
        with np.load(file) as stored:
            points = np.asarray(stored["points"], np.float64)
    except UNREADABLE:
        return None
    # Continuous images are drawn as images.
    return points if points.ndim == 2 and points.size else None


def _grid(cell: Cell, file: pathlib.Path) -> Picture | None:
    """What the command `sample` has drawn beside its arrays, smaller."""
    picture, facts = _beside(file, ".png"), _beside(file, ".json")
    if not picture.is_file():
        return None
    with Image.open(picture) as opened:
        drawn = opened.convert("RGB")
    drawn.thumbnail((2 * _SIDE, 2 * _SIDE))
    about = facts.read_text(encoding="utf-8") if facts.is_file() else json.dumps(str(file))
    return Picture(
        cell=cell.number,
        label=cell.label,
        uri=_png(drawn),
        width=drawn.width,
        height=drawn.height,
        says=f"samples of {cell.label}",
        data_uri=data_uri(about, "application/json"),
        data_name=f"samples-{cell.number}.json",
    )


@dataclasses.dataclass(frozen=True)
class _Plane:
    """Where points are shown: two directions [D, 2], and the range along each [2]."""

    directions: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, clouds: list[np.ndarray]) -> "_Plane":
        """The two coordinates; of more the two in which the first cloud varies most."""
        dim = clouds[0].shape[1]
        directions = np.eye(dim, 2)
        if dim > 2:
            _, directions, _ = principal(clouds[0])
        everything = np.concatenate([c @ directions for c in clouds if c.shape[1] == dim])
        everything = everything[np.isfinite(everything).all(axis=1)]
        low, high = np.quantile(everything, [0.002, 0.998], axis=0)
        middle, half = (low + high) / 2, max(*(high - low), 1e-9) * 0.55
        return cls(directions, middle - half, middle + half)


def _cloud(cell: Cell, points: np.ndarray, plane: _Plane) -> Picture:
    """Points as dots on nothing, so that they are seen on a light and on a dark page."""
    alpha = np.zeros((_SIDE, _SIDE))
    if len(points[0]) == len(plane.directions):
        flat = points @ plane.directions
        flat = flat[np.isfinite(flat).all(axis=1)]
        x, y = ((flat - plane.low) / (plane.high - plane.low) * (_SIDE - 1)).T.round()
        inside = (x >= 0) & (x < _SIDE - 1) & (y > 0) & (y < _SIDE)
        column, row = x[inside].astype(int), _SIDE - 1 - y[inside].astype(int)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            at = (np.minimum(row + down, _SIDE - 1), column + right)
            np.add.at(alpha, at, 0.6)
    shown = np.zeros((_SIDE, _SIDE, 4), np.uint8)
    shown[..., :3] = (66, 133, 214)
    shown[..., 3] = np.clip(alpha * 255, 0, 255)
    header = [f"x{k}" for k in range(points.shape[1])]
    return Picture(
        cell=cell.number,
        label=cell.label,
        uri=_png(Image.fromarray(shown, "RGBA").quantize(64)),
        width=_SIDE,
        height=_SIDE,
        says=f"{len(points)} samples of {cell.label}",
        data_uri=data_uri(as_csv(header, np.char.mod("%.3g", points)), "text/csv"),
        data_name=f"samples-{cell.number}.csv",
    )


def _png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return _uri(file.getvalue(), "image/png")


def _files(found: Iterable[tuple[Cell, pathlib.Path]], says: str) -> list[Picture]:
    """Pictures that lie in files, the first few that are not too large."""
    shown = []
    for cell, file in found:
        if file.is_file() and file.stat().st_size <= _MAX_BYTES:
            with Image.open(file) as picture:
                width, height, kind = picture.width, picture.height, picture.get_format_mimetype()
            shown.append(
                Picture(
                    cell=cell.number,
                    label=cell.label,
                    uri=_uri(file.read_bytes(), str(kind)),
                    width=width,
                    height=height,
                    says=f"{says}, of {cell.label}",
                )
            )
    return shown[:_MAX_ANIMATIONS]


def _beside(file: pathlib.Path, suffix: str) -> pathlib.Path:
    stem = file.name.removesuffix(".json").removesuffix(".npz")
    return file.with_name(stem + suffix)


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
