"""The table of an ablation as files: CSV, Markdown, LaTeX, JSON."""

import csv
import io
import json
import math
from typing import Any

from experiments.ablation import quantities
from experiments.ablation.folder import AblationFolder
from experiments.ablation.locks import waiting
from experiments.ablation.table import RULE, Entry, Row, Table, table_of
from experiments.evaluation.estimate import Estimate
from experiments.runtime.atomic_files import write_atomically

NONE = "—"
"""What stands where there is no number."""

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def write_tables(folder: AblationFolder) -> Table:
    """Write table.json, .csv, .md and .tex of the cells that have been run.

    Raises:
      OSError: they cannot be written.
    """
    # Another process that ends at the same time has at most a cell more.
    with waiting(folder.lock("table")):
        table = table_of(folder)
        texts = {
            "table.json": json.dumps(table.as_json(), indent=2, ensure_ascii=False) + "\n",
            "table.csv": as_csv(table),
            "table.md": as_markdown(table),
            "table.tex": as_latex(table),
        }
        for name, text in texts.items():
            write_atomically(folder.path / name, text)
    return table


def as_csv(table: Table) -> str:
    """A line for each row, a column for each field of each metric; full digits."""
    fields = ["mean", "standard_error", "n", "difference", "low", "high", "p", "best"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{metric}_{field}" for metric in table.metrics for field in fields]
    writer.writerow(["name", *table.axes, "seeds", "failed", *columns])
    for row in table.rows:
        entries = [row.metrics.get(metric) for metric in table.metrics]
        numbers = [getattr(entry, field, None) for entry in entries for field in fields]
        values = [row.values[axis] for axis in table.axes]
        writer.writerow([row.name, *values, row.seeds, row.failed, *numbers])
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """A table of pipes, the best numbers bold; what the columns mean below it."""
    rows = [[_pipes(cell) for cell in cells] for cells in [_head(table), *_body(table, "**")]]
    rule = ["---"] * len(rows[0])
    lines = [f"| {' | '.join(cells)} |" for cells in [rows[0], rule, *rows[1:]]]
    return "\n".join([*lines, "", *_notes(table)]) + "\n"


def as_latex(table: Table) -> str:
    """A tabular of booktabs, the best numbers bold."""
    head, *body = [[_escaped(cell) for cell in cells] for cells in [_head(table), *_body(table)]]
    for row, cells in zip(table.rows, body, strict=True):
        for column, metric in enumerate(table.metrics):
            if metric in row.metrics and row.metrics[metric].best:
                place = _first(table) + 2 * column
                cells[place] = rf"\textbf{{{cells[place]}}}"
    lines = [" & ".join(cells) + r" \\" for cells in [head, *body]]
    notes = [f"% {note}" for note in _notes(table)]
    return (
        "\n".join(
            [
                "% takes \\usepackage{booktabs}",
                *notes,
                rf"\begin{{tabular}}{{{'l' * len(head)}}}",
                r"\toprule",
                lines[0],
                r"\midrule",
                *lines[1:],
                r"\bottomrule",
                r"\end{tabular}",
            ]
        )
        + "\n"
    )


def _first(table: Table) -> int:
    """The place of the first metric among a row's cells."""
    return max(1, len(table.axes)) + 1


def _head(table: Table) -> list[str]:
    said = [(quantities.label(m), "− baseline [95 %]") for m in table.metrics]
    return [*(table.axes or ["setting"]), "seeds", *(word for pair in said for word in pair)]


def _body(table: Table, mark: str = "") -> list[list[str]]:
    return [_cells(row, table, mark) for row in table.rows]


def _cells(row: Row, table: Table, mark: str) -> list[str]:
    seeds = str(row.seeds) + (f" ({row.failed} failed)" if row.failed else "")
    cells = [*(_plain(row.values[axis]) for axis in table.axes)] or [row.name]
    cells.append(seeds)
    for metric in table.metrics:
        entry = row.metrics.get(metric)
        if entry is None:
            cells += [NONE, NONE]
            continue
        marked = mark if entry.best else ""
        cells += [f"{marked}{_mean(entry)}{marked}", _difference(entry)]
    return cells


def _mean(entry: Entry) -> str:
    return Estimate(entry.mean, entry.standard_error).text()


def _difference(entry: Entry) -> str:
    """The difference with its interval and its corrected p-value, "−0.15 [−0.17, −0.13] p=0.01"."""
    if entry.difference is None:
        return NONE
    if entry.low is None or entry.high is None:
        return _signed(entry.difference, ".3g")
    half = (entry.high - entry.low) / 2
    if half == 0:  # as of counts, which no seed changes
        return _signed(entry.difference, ".3g")
    places = max(0, 1 - math.floor(math.log10(half)))
    numbers = entry.difference, entry.low, entry.high
    shown = [_signed(number, f".{places}f") for number in numbers]
    p = "" if entry.p is None else f" p={entry.p:.2g}"
    return f"{shown[0]} [{shown[1]}, {shown[2]}]{p}"


def _signed(number: float, form: str) -> str:
    """A number with its sign, a minus and no hyphen."""
    return f"{number:+{form}}".replace("-", "−")


def _plain(value: Any) -> str:
    """A value of an axis."""
    return f"({', '.join(map(str, value))})" if isinstance(value, list) else str(value)


def _notes(table: Table) -> list[str]:
    """What the columns mean, and what the numbers rest on."""
    return [
        "Mean ± standard error over seeds; paired difference to the first row with Student's 95 % "
        "interval and Holm's p-value.",
        RULE,
        *table.notes,
    ]


def _pipes(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    text = "".join(_LATEX.get(character, character) for character in text)
    return text.replace("±", r"$\pm$").replace("−", "$-$").replace(NONE, "---")
