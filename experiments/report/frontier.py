"""Quality against cost: each metric by the network evaluations of a sample."""

import math
import statistics
from typing import Any

import numpy as np

from experiments.display.sparkline import spans_a_decade
from experiments.report import svg
from experiments.report.figure import Figure, Series, as_csv
from experiments.report.rows import Entry, Metric, Row
from experiments.report.study import Cell, Study, named

_COSTS = ("sampling.num_steps", "sampling.rtol", "sampling.atol")
"""Fields that say how much a sampler may cost: along a line they differ."""

_COST = "nfe"
"""The metric that is the cost itself."""


def frontiers(study: Study, metrics: list[Metric], rows: list[Row]) -> list[Figure]:
    """A figure for each metric that changes with the cost of samples.

    Bits/dim do not: cells that differ in how they are sampled alone have the same.
    """
    costs = {cell.number: _cost(cell) for cell in study.cells}
    known = {number: cost for number, cost in costs.items() if cost is not None}
    # The results of a workdir are no lines of anything.
    if not study.is_ablation or len(set(known.values())) < 2:
        return []
    figures = []
    for k, metric in enumerate(metric for metric in metrics if metric.name != _COST):
        entries = {row.cell.number: row.entries.get(metric.name) for row in rows}
        points = {n: e for n, e in entries.items() if e is not None and n in known}
        lines = _lines(study, known, points)
        if any(_changes(line, known, points) for line in lines):
            figures.append(_figure(f"cost{k}", metric, lines, known, points))
    return figures


def _changes(line: Series, costs: dict[int, float], points: dict[int, Entry]) -> bool:
    """Whether a line has two costs, and a metric that differs along it."""
    several = len({costs[n] for n in line.cells}) > 1
    return several and len({points[n].mean for n in line.cells}) > 1


def _cost(cell: Cell) -> float | None:
    found = [run.evaluations for run in cell.runs if run.evaluations]
    return statistics.fmean(found) if found else None


def _lines(study: Study, costs: dict[int, float], points: dict[int, Entry]) -> list[Series]:
    """Cells that differ in their cost alone, in the order of it."""
    together: dict[str, list[int]] = {}
    for cell in study.cells:
        if cell.number in points:
            others = {k: v for k, v in cell.values.items() if k not in _COSTS}
            together.setdefault(named(others) or "all", []).append(cell.number)
    return [
        Series(cells=tuple(sorted(numbers, key=costs.__getitem__)), label=label)
        for label, numbers in together.items()
    ]


def _figure(
    name: str,
    metric: Metric,
    lines: list[Series],
    costs: dict[int, float],
    points: dict[int, Entry],
) -> Figure:
    rows = [
        (line.label, costs[n], points[n].mean, points[n].standard_error)
        for line in lines
        for n in line.cells
    ]
    return Figure(
        name=name,
        title=f"{metric.label} by network evaluations",
        svg=_draw(name, metric, lines, costs, points),
        note="Bars are standard errors.",
        series=tuple(lines),
        csv=as_csv(["cells", "evaluations", metric.name, "standard_error"], rows),
    )


def _draw(
    name: str,
    metric: Metric,
    lines: list[Series],
    costs: dict[int, float],
    points: dict[int, Entry],
) -> str:
    with svg.figure(4.4, 3.0) as (drawn, axes):
        for line in lines:
            # Of the cells' own colours the line takes that of its first.
            look = {"color": svg.colour(min(line.cells)), "linestyle": svg.dashes(min(line.cells))}
            x = [costs[n] for n in line.cells]
            (path,) = axes.plot(x, [points[n].mean for n in line.cells], linewidth=1, **look)
            svg.of_cells(path, line.cells)
            for n in line.cells:
                _point(axes, n, costs[n], points[n], look["color"])
        axes.set_xscale("log")
        means = [point.mean for point in points.values()]
        if spans_a_decade(means):
            svg.logarithmic(axes.yaxis, min(means), max(means))
        _plain_ticks(axes, sorted({costs[n] for n in points}))
        axes.set_xlabel("network evaluations a sample")
        axes.set_ylabel(metric.label)
        says = f"{metric.label} by network evaluations a sample, {len(lines)} lines"
        return svg.markup(drawn, name, says)


def _point(axes: Any, number: int, cost: float, entry: Entry, colour: str) -> None:
    (dot,) = axes.plot([cost], [entry.mean], marker="o", markersize=3.5, color=colour)
    svg.of_cells(dot, [number])
    error = entry.standard_error
    if error is not None and math.isfinite(error):
        bars = svg.error_bars(axes, [cost], [entry.mean], [error], color=colour)
        svg.of_cells(bars, [number])


def _plain_ticks(axes: Any, costs: list[float]) -> None:
    """Label the costs that there are, but not two that would overlap."""
    from matplotlib.ticker import NullFormatter, NullLocator

    room = math.log(costs[-1] / costs[0]) / 9
    kept = [costs[0]]
    for cost in costs[1:]:
        if math.log(cost / kept[-1]) >= room:
            kept.append(cost)
    axes.set_xticks(kept, [f"{np.round(cost, 1):g}" for cost in kept])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
