"""The table of an ablation: a row for each setting, over seeds, compared with the baseline.

Of the numbers x_s of a row and b_s of the baseline at the seeds s that both have:

    mean x, its standard error over seeds                                          (1)
    mean (x_s − b_s), its 95 % interval by Student's t, its p-value                (2)

p-values are corrected by Holm's method over all rows that one metric compares.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.ablation import quantities
from experiments.ablation.folder import AblationFolder, CellRecord
from experiments.evaluation.metrics.intervals import holm, paired_difference, student_interval

_LEVEL = 0.05

RULE = (
    "Best: the row with the best mean, where it is better than every other row, by paired t-tests "
    "over the seeds with Holm's correction over the other rows, at 5 %. Rows with the same "
    "numbers, as those of one model have, count as one."
)
"""When a number is marked as the best of its column."""

_FEW_SEEDS = {
    1: "One seed: no error bars, and no difference is significant; --seeds=3 has them.",
    2: "Two seeds: an interval reaches 12.7 standard errors either way, of three seeds 4.3.",
}

BySeed = Mapping[int, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One metric of one row.

    Args:
      mean: over seeds.
      standard_error: of the mean, over seeds; None for one seed.
      n: how many seeds.
      difference: mean difference to the baseline, over the seeds that both have; None in the
        baseline's own row.
      low, high: of its 95 % interval; None for one seed.
      p: two-sided p-value of no difference, corrected; None for one seed.
      best: whether it is marked, by `RULE`.
      examples: of which each seed's number is measured, where it says so.
    """

    mean: float
    standard_error: float | None
    n: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    best: bool = False
    examples: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A setting of the axes.

    Args:
      name: its values in words.
      values: by field.
      seeds: how many have given numbers.
      failed: how many have failed.
      metrics: by name; without those that it has no number of.
    """

    name: str
    values: Mapping[str, Any]
    seeds: int
    failed: int
    metrics: Mapping[str, Entry]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """All rows, the baseline's first.

    Args:
      axes: the fields that vary.
      metrics: their names, in order.
      rows: in the order of the cells.
    """

    axes: Sequence[str]
    metrics: Sequence[str]
    rows: Sequence[Row]

    @property
    def notes(self) -> list[str]:
        """What the numbers rest on: examples of a data set, seeds."""
        lines = []
        for metric in self.metrics:
            entries = [row.metrics[metric].examples for row in self.rows if metric in row.metrics]
            if counts := sorted({num for num in entries if num is not None}):
                nums = " to ".join(dict.fromkeys(f"{num:,}" for num in (counts[0], counts[-1])))
                lines.append(f"{quantities.label(metric)}: of {nums} examples at each seed.")
        seeds = max((row.seeds for row in self.rows), default=0)
        return lines + ([_FEW_SEEDS[seeds]] if seeds in _FEW_SEEDS else [])

    def as_json(self) -> dict[str, Any]:
        """The table as table.json has it."""
        about = {
            name: {
                "label": quantities.label(name),
                "lower_is_better": quantities.lower_is_better(name),
            }
            for name in self.metrics
        }
        return {
            "axes": list(self.axes),
            "baseline": self.rows[0].name if self.rows else None,
            "metrics": about,
            "rule": RULE,
            "notes": self.notes,
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }


def table_of(folder: AblationFolder) -> Table:
    """The table of the cells that have been run."""
    cells, results = folder.cells, folder.results
    by_name: dict[str, list[CellRecord]] = {}
    for cell in cells:
        by_name.setdefault(cell.name, []).append(cell)
    metrics = _metrics([results[c.digest] for c in cells if c.digest in results])
    numbers = {
        metric: {name: _by_seed(some, results, metric) for name, some in by_name.items()}
        for metric in metrics
    }
    entries = {metric: _entries(numbers[metric], metric) for metric in metrics}
    rows = []
    for name, some in by_name.items():
        ended = [results[cell.digest]["error"] for cell in some if cell.digest in results]
        row = Row(
            name=name,
            values=some[0].values,
            seeds=sum(error is None for error in ended),
            failed=sum(error is not None for error in ended),
            metrics={
                m: dataclasses.replace(entries[m][name], examples=_examples(some, results, m))
                for m in metrics
                if name in entries[m]
            },
        )
        rows.append(row)
    axes = list(cells[0].values) if cells else []
    return Table(axes=axes, metrics=metrics, rows=rows)


def _metrics(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of all numbers: in the order in which they were asked for, then others."""
    found = {name for result in results for name in result["metrics"]}
    asked = [name for result in results for name in result["protocol"]["metrics"]]
    others = [name for result in results for name in result["metrics"]]
    return [name for name in dict.fromkeys([*asked, *others]) if name in found]


def _by_seed(
    cells: Sequence[CellRecord], results: Mapping[str, Mapping[str, Any]], metric: str
) -> BySeed:
    """A setting's finite numbers of a metric."""
    found = {}
    for cell in cells:
        number = results.get(cell.digest, {}).get("metrics", {}).get(metric, {}).get("value")
        if number is not None and math.isfinite(number):
            found[cell.seed] = number
    return found


def _examples(
    cells: Sequence[CellRecord], results: Mapping[str, Mapping[str, Any]], metric: str
) -> int | None:
    """The fewest examples of which a setting's metric is measured; None where none says so."""
    numbers = [results.get(cell.digest, {}).get("metrics", {}).get(metric, {}) for cell in cells]
    found = [number.get("details", {}) for number in numbers]
    counts = [details["examples"] for details in found if "examples" in details]
    return min(counts, default=None)


def _entries(numbers: Mapping[str, BySeed], metric: str) -> dict[str, Entry]:
    """One metric's column, by the names of the rows that have a number."""
    baseline, alike = next(iter(numbers)), _alike(numbers)
    compared = [name for name, values in numbers.items() if values and name != baseline]
    differences = {name: _difference(numbers[name], numbers[baseline]) for name in compared}
    distinct = [name for name in compared if alike[name] == name]
    p_values = holm([_p(differences[name]) for name in distinct])
    corrected = {baseline: 1.0} | dict(zip(distinct, p_values, strict=True))
    best = _best(numbers, metric)
    found = {}
    for name, values in numbers.items():
        if not values:
            continue
        mean = student_interval(list(values.values()))
        entry = Entry(
            mean=mean.value,
            standard_error=mean.standard_error,
            n=len(values),
            best=alike[name] == best,
        )
        difference = differences.get(name)
        if difference is not None:
            p = float(corrected[alike[name]])
            entry = dataclasses.replace(
                entry,
                difference=difference.value,
                low=difference.low,
                high=difference.high,
                p=None if math.isnan(p) else p,
            )
        found[name] = entry
    return found


def _alike(numbers: Mapping[str, BySeed]) -> dict[str, str]:
    """The first row that has the same numbers as each: the same measurement, to be tested once.

    Cells that share a model, and differ in their sampling alone, have one bits/dim.
    """
    return {
        name: next(first for first in numbers if numbers[first] == values)
        for name, values in numbers.items()
    }


def _difference(values: BySeed, baseline: BySeed) -> Any:
    """The paired difference over the seeds that both have; None where there are none."""
    both = [seed for seed in values if seed in baseline]
    if not both:
        return None
    return paired_difference([values[s] for s in both], [baseline[s] for s in both])


def _p(difference: Any) -> float:
    """Of a paired difference; NaN where it has none."""
    return math.nan if difference is None else difference.details.get("p_value", math.nan)


def _best(numbers: Mapping[str, BySeed], metric: str) -> str | None:
    """The first of the rows that `RULE` marks, which have the same numbers."""
    lower, alike = quantities.lower_is_better(metric), _alike(numbers)
    distinct = {name: v for name, v in numbers.items() if v and alike[name] == name}
    means = {name: float(np.mean(list(values.values()))) for name, values in distinct.items()}
    if lower is None or len(means) < 2:
        return None
    best = (min if lower else max)(means, key=means.__getitem__)
    others = [name for name in means if name != best]
    p_values = [_p(_difference(numbers[best], numbers[name])) for name in others]
    return best if np.all(holm(p_values) < _LEVEL) else None
