"""Parallel coordinates: a line a cell through its value on every axis and its metrics."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.report import svg
from experiments.report.figure import Figure, Series, as_csv
from experiments.report.rows import Metric, Row
from experiments.report.study import Study

_MAX_METRICS = 3
_MAX_TICKS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Axis:
    """A vertical axis: its label, each row's height in [0, 1] (NaN for none), and its ticks."""

    label: str
    heights: np.ndarray
    ticks: tuple[tuple[float, str], ...]


def parallel(study: Study, metrics: list[Metric], rows: list[Row]) -> list[Figure]:
    """The figure, where cells differ in more than two fields; else none."""
    if len(study.axes) < 3:
        return []
    shown = metrics[:_MAX_METRICS]
    columns = [_of_axis(axis, [row.cell.values.get(axis) for row in rows]) for axis in study.axes]
    columns += [_of_metric(metric, rows) for metric in shown]
    kept = [k for k in range(len(rows)) if all(np.isfinite(c.heights[k]) for c in columns)]
    names = [*study.axes, *(metric.name for metric in shown)]
    data = [
        [row.cell.name, *(row.cell.values.get(axis) for axis in study.axes)]
        + [row.entries[m.name].mean if m.name in row.entries else None for m in shown]
        for row in rows
    ]
    return [
        Figure(
            name="parallel",
            title="All fields at once",
            svg=_draw(columns, rows, kept),
            note="A line is a cell. Upwards is more; values of a field are evenly spaced.",
            series=tuple(
                Series(cells=(rows[k].cell.number,), label=rows[k].cell.label) for k in kept
            ),
            csv=as_csv(["cell", *names], data),
        )
    ]


def _of_axis(name: str, values: list[Any]) -> _Axis:
    """The distinct values evenly spaced: numbers in their order, words as they come."""
    distinct = list({repr(value): value for value in values}.values())
    if all(isinstance(value, int | float) for value in distinct):
        distinct.sort()
    places = np.linspace(0, 1, len(distinct)) if len(distinct) > 1 else np.array([0.5])
    place = {repr(value): place for value, place in zip(distinct, places, strict=True)}
    every = max(1, len(distinct) // _MAX_TICKS)
    ticks = [(place[repr(value)], str(value)) for value in distinct[::every]]
    heights = np.array([place[repr(value)] for value in values])
    return _Axis(label=name, heights=heights, ticks=tuple(ticks))


def _of_metric(metric: Metric, rows: list[Row]) -> _Axis:
    entries = [row.entries.get(metric.name) for row in rows]
    means = np.array([np.nan if entry is None else entry.mean for entry in entries], float)
    finite = means[np.isfinite(means)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    span = high - low or 1.0
    marks = np.linspace(low, high, 5).tolist() if high > low else [low]
    ticks = tuple(zip((np.asarray(marks) - low) / span, told_apart(marks), strict=True))
    return _Axis(label=metric.label, heights=(means - low) / span, ticks=ticks)


def told_apart(marks: Sequence[float]) -> list[str]:
    """Numbers in as few digits, three or more, as tell them apart."""
    texts: list[str] = []
    for digits in range(3, 10):
        texts = [f"{x:.{digits}g}" for x in marks]
        if len(set(texts)) == len(texts):
            break
    return texts


def _draw(columns: list[_Axis], rows: list[Row], kept: list[int]) -> str:
    with svg.figure(max(4.4, 1.25 * len(columns)), 3.0) as (drawn, axes):
        for k in kept:
            number = rows[k].cell.number
            (line,) = axes.plot(
                range(len(columns)),
                [column.heights[k] for column in columns],
                color=svg.colour(number),
                linestyle=svg.dashes(number),
                linewidth=1,
            )
            svg.of_cells(line, [number])
        for place, column in enumerate(columns):
            axes.axvline(place, color=svg.INK, linewidth=0.8)
            for height, text in column.ticks:
                axes.annotate(
                    text[:14],
                    (place, height),
                    xytext=(3, 2),
                    textcoords="offset points",
                    fontsize=7.5,
                )
        axes.set_xticks(range(len(columns)), [_wrapped(column.label) for column in columns])
        axes.set_yticks([])
        axes.set_ylim(-0.05, 1.1)
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
        return svg.markup(drawn, "parallel", f"{len(kept)} cells by {len(columns)} fields")


def _wrapped(label: str) -> str:
    """A field below its section."""
    return label.replace(".", ".\n", 1)
