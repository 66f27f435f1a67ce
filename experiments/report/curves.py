"""Curves of training: the loss, and what was measured on the way, by step."""

import dataclasses
import pathlib

import numpy as np

from experiments.display.sparkline import spans_a_decade
from experiments.report import svg
from experiments.report.figure import Figure, Series, as_csv
from experiments.report.study import Study, common
from experiments.workdir.metrics import read_metrics

_LOSS, _MEASURED, _ERROR = "loss", "eval/", "_error"
_MAX_FIGURES = 8
_MAX_POINTS = 5000
"""Of all curves together: what keeps a page of 100 cells small."""
_MAX_STEPS = 200
_LINE = 1 / 300
"""How wide a line is, of the height of a figure."""
_MANY = 12
"""Curves from which on they are thinner."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Curve:
    """A metric of the runs of one model: [runs, steps], NaN where a run has none."""

    series: Series
    values: np.ndarray


def curves(study: Study) -> list[Figure]:
    """A figure for the loss and for every metric that was measured while training."""
    models = _models(study)
    lines = {series: [read_metrics(w / "metrics.jsonl") for w in ws] for series, ws in models}
    names = {name for runs in lines.values() for run in runs for line in run for name in line}
    measured = sorted(
        name for name in names if name.startswith(_MEASURED) and not name.endswith(_ERROR)
    )
    shown = [name for name in [_LOSS, *measured] if name in names][:_MAX_FIGURES]
    most = _MAX_POINTS // max(1, len(shown) * len(models))
    return [_figure(k, name, lines, max(10, min(_MAX_STEPS, most))) for k, name in enumerate(shown)]


def _models(study: Study) -> list[tuple[Series, list[pathlib.Path]]]:
    """The models, each the cells that share it and a workdir a seed."""
    own = None if study.is_ablation else study.path.resolve().name
    return [
        (Series(cells=tuple(cell.number for cell in cells), label=own or common(cells)), workdirs)
        for cells, workdirs in study.sharing(lambda run: run.workdir)
    ]


def _figure(number: int, name: str, lines: dict, most: int) -> Figure:
    steps = np.unique([s for runs in lines.values() for run in runs for s, _ in _points(run, name)])
    steps = steps if len(steps) <= most else np.linspace(steps[0], steps[-1], most + 1)[1:]
    found = [
        _Curve(series=series, values=np.stack([_on(steps, _points(run, name)) for run in runs]))
        for series, runs in lines.items()
    ]
    found = [curve for curve in found if np.isfinite(curve.values).any()]
    notes = ["Lines are means over seeds, bands reach from the least to the greatest."]
    notes = notes if any(len(curve.values) > 1 for curve in found) else []
    notes += [f"One line: {'; '.join(names)}." for names in _on_each_other(found)]
    title = "Training loss" if name == _LOSS else name.removeprefix(_MEASURED)
    return Figure(
        name=f"curve{number}",
        title=f"{title} by step",
        svg=_draw(f"curve{number}", title, steps, found),
        note=" ".join(notes),
        series=tuple(curve.series for curve in found),
        csv=_csv(steps, found),
    )


def _points(run: list[dict], name: str) -> list[tuple[int, float]]:
    """Steps and finite values of a metric."""
    given = [(line["step"], line.get(name)) for line in run]
    return [(step, float(x)) for step, x in given if isinstance(x, int | float) and np.isfinite(x)]


def _on(steps: np.ndarray, points: list[tuple[int, float]]) -> np.ndarray:
    """The mean of a metric since the step before, NaN where there is none."""
    at = np.searchsorted(steps, [step for step, _ in points])
    values = [value for _, value in points]
    sums, counts = (np.bincount(at, weights, len(steps)) for weights in (values, None))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, least and greatest over runs at the steps that any has; NaN elsewhere."""
    there = np.isfinite(values)
    num = there.sum(axis=0)
    mean = np.where(there, values, 0).sum(axis=0) / np.maximum(num, 1)
    low = np.where(there, values, np.inf).min(axis=0)
    high = np.where(there, values, -np.inf).max(axis=0)
    return tuple(np.where(num > 0, x, np.nan) for x in (mean, low, high))  # type: ignore[return-value]


def _on_each_other(found: list[_Curve]) -> list[list[str]]:
    """The labels of curves that cannot be told apart, each such group in order."""
    means = [_spread(curve.values)[0] for curve in found]
    if not means:
        return []
    width = _LINE * np.ptp(np.stack(means)[np.isfinite(means)])
    groups: list[list[int]] = []
    for k, mean in enumerate(means):
        for group in groups:
            if np.allclose(mean, means[group[0]], rtol=0, atol=width, equal_nan=True):
                group.append(k)
                break
        else:
            groups.append([k])
    return [[found[k].series.label for k in group] for group in groups if len(group) > 1]


def _draw(name: str, title: str, steps: np.ndarray, found: list[_Curve]) -> str:
    width = 1.2 if len(found) <= _MANY else 0.7
    with svg.figure(4.4, 3.0) as (drawn, axes):
        for curve in found:
            mean, low, high = _spread(curve.values)
            cells, there = curve.series.cells, np.isfinite(mean)
            look = {"color": svg.colour(cells[0])}
            (line,) = axes.plot(
                steps[there], mean[there], linewidth=width, linestyle=svg.dashes(cells[0]), **look
            )
            svg.of_cells(line, cells)
            if len(curve.values) > 1:
                band = axes.fill_between(
                    steps[there], low[there], high[there], alpha=0.18, linewidth=0, **look
                )
                svg.of_cells(band, cells)
        shown = [float(x) for curve in found for x in curve.values[np.isfinite(curve.values)]]
        if spans_a_decade(shown):
            svg.logarithmic(axes.yaxis, min(shown), max(shown))
        axes.set_xlabel("training step")
        axes.set_ylabel(title)
        return svg.markup(drawn, name, f"{title} by training step, {len(found)} curves")


def _csv(steps: np.ndarray, found: list[_Curve]) -> str:
    header, columns = ["step"], [steps.astype(float)]
    for curve in found:
        several = len(curve.values) > 1
        parts = _spread(curve.values)[: 3 if several else 1]
        columns += parts
        header += [f"{curve.series.label} {word}" for word in ("mean", "low", "high")[: len(parts)]]
    return as_csv(header, zip(*columns, strict=True))
