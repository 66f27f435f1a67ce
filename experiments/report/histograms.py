"""Histograms of the bits/dim of single examples, by cell, with error bars."""

import math
import pathlib
from typing import Any

import numpy as np

from experiments.report import svg
from experiments.report.figure import Figure, Series, as_csv
from experiments.report.rows import with_error
from experiments.report.study import Cell, Study, common
from experiments.runtime.array_files import UNREADABLE

_MAX_BINS = 40
_OUTSIDE = 0.002
"""Of the examples so many are left out at either end: one of an infinite density is no axis."""


def histograms(study: Study) -> list[Figure]:
    """One figure with the histogram of every cell whose bits/dim were measured; or none."""
    measured = study.sharing(lambda run: run.likelihood)
    found = [(cells, runs) for cells, files in measured if (runs := _examples(files))]
    if not found:
        return []
    edges = _edges([x for _, runs in found for x in runs])
    shares = [(cells, _shares(runs, edges)) for cells, runs in found]
    several = any(len(runs) > 1 for _, runs in found)
    return [
        Figure(
            name="bits",
            title="Bits/dim of single examples",
            svg=_draw(shares, edges),
            note="Bars are standard errors of a bin's share, "
            + ("over seeds." if several else "of so many independent examples."),
            series=tuple(_series(cells, f": {_mean(runs)}") for cells, runs in found),
            csv=_csv(shares, edges),
        )
    ]


def _series(cells: list[Cell], more: str) -> Series:
    return Series(cells=tuple(cell.number for cell in cells), label=common(cells) + more)


def _edges(runs: list[np.ndarray]) -> np.ndarray:
    """Of bins that suit the smallest of the runs, over nearly all examples of all."""
    low, high = np.quantile(np.concatenate(runs), [_OUTSIDE, 1 - _OUTSIDE])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    num = math.sqrt(min(len(x) for x in runs))
    return np.linspace(low, high, int(max(8, min(_MAX_BINS, num))) + 1)


def _examples(files: list[pathlib.Path]) -> list[np.ndarray]:
    """Finite bits/dim [N] of each run."""
    return [x for file in files if (x := _read(file)).size]


def _read(file: pathlib.Path) -> np.ndarray:
    """What `likelihood` wrote beside its JSON; empty where it is not there."""
    arrays = file.with_name(file.name.removesuffix(".json").removesuffix(".npz") + ".npz")
    try:
        with np.load(arrays) as stored:
            values = np.asarray(stored["bits_per_dim"], np.float64)
    except UNREADABLE:
        return np.empty(0)
    return values[np.isfinite(values)]


def _mean(runs: list[np.ndarray]) -> str:
    """The mean over seeds, or of one seed over examples, with its standard error."""
    values = [x.mean() for x in runs] if len(runs) > 1 else runs[0]
    spread = np.std(values, ddof=1) if len(values) > 1 else math.nan
    return with_error(float(np.mean(values)), float(spread / math.sqrt(len(values))))


def _shares(runs: list[np.ndarray], edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of all examples the share in each bin, and its standard error."""
    each = np.stack([np.histogram(x, edges)[0] / len(x) for x in runs])
    mean = each.mean(axis=0)
    if len(runs) > 1:
        return mean, each.std(axis=0, ddof=1) / math.sqrt(len(runs))
    return mean, np.sqrt(mean * (1 - mean) / len(runs[0]))


def _draw(shares: list[tuple[list[Cell], Any]], edges: np.ndarray) -> str:
    middles = (edges[1:] + edges[:-1]) / 2
    with svg.figure(4.4, 3.0) as (drawn, axes):
        for cells, (mean, error) in shares:
            look = {"color": svg.colour(cells[0].number)}
            (steps,) = axes.plot(
                np.repeat(edges, 2)[1:-1],
                np.repeat(mean, 2),
                linewidth=1,
                linestyle=svg.dashes(cells[0].number),
                **look,
            )
            for artist in (steps, svg.error_bars(axes, middles, mean, error, **look)):
                svg.of_cells(artist, [cell.number for cell in cells])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("bits/dim")
        axes.set_ylabel("share of the examples")
        return svg.markup(drawn, "bits", f"histograms of bits/dim in {len(shares)} lines")


def _csv(shares: list[tuple[list[Cell], Any]], edges: np.ndarray) -> str:
    header, columns = ["from", "to"], [edges[:-1], edges[1:]]
    for cells, (mean, error) in shares:
        header += [f"{common(cells)} share", f"{common(cells)} standard_error"]
        columns += [mean, error]
    return as_csv(header, zip(*columns, strict=True))
