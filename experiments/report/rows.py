"""The table of a report: a row a cell, of each metric its mean, its error and its difference.

The numbers are those of the ablation's table; where there is none yet, and of a workdir, they are
the results themselves.
"""

import dataclasses
import math
import re
import statistics
from collections.abc import Mapping
from typing import Any

from experiments.report.study import Cell, Study

_LEVEL = 0.05
_DIGITS = 4
"""Significant ones of a number without an error."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A column: its name, what it is called, and which end is better (None: nobody has said)."""

    name: str
    label: str
    lower_is_better: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A metric of a cell.

    Args:
      mean: over seeds.
      standard_error: of the mean over seeds; of one result its own; None where unknown.
      n: seeds.
      difference: to the baseline; None for the baseline.
      low, high: the difference's interval.
      p: of no difference, corrected for the number of cells.
      best: whether it is, by the table's rule.
    """

    mean: float
    standard_error: float | None = None
    n: int = 1
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    best: bool = False

    @property
    def text(self) -> str:
        """The mean and its standard error, as "2.120 ± 0.012"."""
        return with_error(self.mean, self.standard_error)

    @property
    def difference_text(self) -> str:
        """The difference and its interval, as "−0.150 [−0.174, −0.126]"."""
        if self.difference is None:
            return ""
        said = _signed(self.difference, self._decimals)
        if self.low is None or self.high is None or self.is_exact:
            return said
        ends = (_signed(end, self._decimals) for end in (self.low, self.high))
        return f"{said} [{', '.join(ends)}]"

    @property
    def p_text(self) -> str:
        """What there is against no difference, as "p = 0.003", starred where it is significant."""
        if self.p is None or self.is_exact:
            return ""
        star = " *" if self.is_significant else ""
        return f"p {'< 0.001' if self.p < 0.001 else f'= {self.p:.2g}'}{star}"

    @property
    def is_exact(self) -> bool:
        """Whether every seed has the same difference, as of counts."""
        return self.low is not None and self.low == self.high

    @property
    def is_significant(self) -> bool:
        """Whether p, corrected, is below 5 %."""
        return self.p is not None and self.p < _LEVEL

    @property
    def _decimals(self) -> int:
        """So that the interval has two digits, or the difference a few."""
        if self.low is not None and self.high is not None and self.high > self.low:
            return _decimals((self.high - self.low) / 2)
        return _decimals(self.difference or 0.0, _DIGITS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A cell and its metrics by name."""

    cell: Cell
    entries: Mapping[str, Entry]


def table(study: Study) -> tuple[list[Metric], list[Row]]:
    """The columns and the rows, in the order of the cells."""
    if study.table:
        return _of_table(study)
    names = dict.fromkeys(name for run in study.runs for name in run.metrics)
    return [Metric(name=name, label=name) for name in names], [
        Row(cell=cell, entries={n: e for n in names if (e := _of_runs(cell, n)) is not None})
        for cell in study.cells
    ]


def _of_table(study: Study) -> tuple[list[Metric], list[Row]]:
    metrics = [
        Metric(
            name=name,
            label=said.get("label", name),
            lower_is_better=said.get("lower_is_better"),
        )
        for name, said in study.table["metrics"].items()
    ]
    by_name = {row["name"]: row["metrics"] for row in study.table["rows"]}
    fields = {field.name for field in dataclasses.fields(Entry)}
    rows = []
    for cell in study.cells:
        found = by_name.get(cell.name, {}).items()
        known = {name: {k: x for k, x in e.items() if k in fields} for name, e in found}
        entries = {n: Entry(**e) for n, e in known.items() if e.get("mean") is not None}
        rows.append(Row(cell=cell, entries=entries))
    return metrics, rows


def _of_runs(cell: Cell, name: str) -> Entry | None:
    """A metric of the runs that have it; of one run its own standard error."""
    found = [run.metrics[name] for run in cell.runs if name in run.metrics]
    found = [x for x in found if _is_number(x.get("value"))]
    if not found:
        return None
    if len(found) == 1:
        return Entry(mean=found[0]["value"], standard_error=found[0].get("standard_error"))
    values = [x["value"] for x in found]
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Entry(mean=statistics.fmean(values), standard_error=error, n=len(values))


def with_error(value: float, error: float | None) -> str:
    """A number to the second digit of its error, and the error; without one to four digits."""
    if error is None or not math.isfinite(error) or not math.isfinite(value):
        return _minus(f"{value:.{_DIGITS}g}")
    if error == 0:
        return _minus(f"{value:.{_DIGITS}g} ± 0")
    decimals = _decimals(error)
    return _minus(f"{value:.{decimals}f} ± {error:.{decimals}f}")


def _decimals(size: float, digits: int = 2) -> int:
    """Decimal places that show so many significant digits of a number of this size."""
    if size == 0 or not math.isfinite(size):
        return 0
    return min(12, max(0, digits - 1 - math.floor(math.log10(abs(size)))))


def _signed(value: float, decimals: int) -> str:
    return _minus(f"{value:+.{decimals}f}")


def _minus(text: str) -> str:
    """With the sign that is as wide as a plus; not in an exponent."""
    return re.sub("(?<!e)-", "−", text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
