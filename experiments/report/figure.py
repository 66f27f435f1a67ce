"""A figure of the page: its SVG, the legend of its cells, and the numbers that it shows."""

import csv
import dataclasses
import io
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """What of a figure belongs to some cells.

    Args:
      cells: their numbers; the first one's colour is the series'.
      label: what it is called.
    """

    cells: tuple[int, ...]
    label: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure, as the page's template takes it.

    Args:
      name: of its file of data, and what its ids begin with.
      title: above it.
      svg: markup of `svg.markup`.
      note: how it is read; "" for nothing.
      series: its legend.
      csv: its data, of `as_csv`.
    """

    name: str
    title: str
    svg: str
    note: str
    series: tuple[Series, ...]
    csv: str

    @property
    def data_uri(self) -> str:
        """Its data as a link's target."""
        return data_uri(self.csv, "text/csv")


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV, numbers to six digits, nothing for what is not a finite number."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return file.getvalue()


def data_uri(text: str, kind: str) -> str:
    """A text as the target of a link: nothing is fetched."""
    return f"data:{kind};charset=utf-8,{urllib.parse.quote(text, safe=',;:+-._=/ ')}"


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return value
