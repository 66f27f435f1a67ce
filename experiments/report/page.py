"""The page: one HTML file with everything in it, which asks nothing of a network.

Every text of a user goes through jinja2's escaping or, in figures, through that of an XML writer;
the page's one script is named by its hash in the page's security policy, so that no other runs.
"""

import base64
import hashlib
import pathlib
from typing import Any

import jinja2
from markupsafe import Markup

from experiments.report import about, pictures
from experiments.report.curves import curves
from experiments.report.figure import as_csv, data_uri
from experiments.report.frontier import frontiers
from experiments.report.histograms import histograms
from experiments.report.parallel import parallel
from experiments.report.rows import Metric, Row, table
from experiments.report.study import Study, read
from experiments.runtime.atomic_files import write_atomically

NAME = "report.html"

_HERE = pathlib.Path(__file__).parent
_MAX_IN_LEGEND = 12
_MAX_CHOICES = 20
_MAX_ROWS = 25
"""More of them scroll below a header that stays."""


def write_report(path: pathlib.Path) -> pathlib.Path:
    """Write the report of an ablation's folder or of a workdir into it.

    Args:
      path: the folder.

    Returns:
      The file.

    Raises:
      UserError: it is neither, or its files are damaged.
      OSError: the file cannot be written.
    """
    file = path / NAME
    write_atomically(file, page(read(path)))
    return file


def page(study: Study) -> str:
    """The report as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return environment.get_template("page.html").render(
        **_context(study),
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
    )


def _context(study: Study) -> dict[str, Any]:
    """What the template shows."""
    metrics, rows = table(study)
    shown = {
        "curves": curves(study),
        "samples": pictures.samples(study),
        "frontiers": frontiers(study, metrics, rows),
        "histograms": histograms(study),
        "parallel": parallel(study, metrics, rows),
        "animations": pictures.animations(study),
        "neighbours": pictures.neighbours(study),
    }
    name = study.path.resolve().name
    return {
        **shown,
        **_filters(study),
        "sections": [(identity, heading, shown[key]) for identity, heading, key in _SECTIONS],
        "title": f"{'Ablation' if study.is_ablation else 'Run'} {name}",
        "is_ablation": study.is_ablation,
        "facts": about.facts(study),
        "failed": [cell for cell in study.cells if cell.errors],
        "differences": about.differences(study),
        "axes": study.axes,
        "metrics": metrics,
        "rows": rows,
        "caption": _caption(study),
        "notes": _notes(study, rows),
        "table_uri": data_uri(_csv(study, metrics, rows), "text/csv"),
        "most_in_legend": _MAX_IN_LEGEND,
        "most_rows": _MAX_ROWS,
    }


_SECTIONS = (
    ("curves", "Curves", "curves"),
    ("samples", "Samples", "samples"),
    ("cost", "Quality against cost", "frontiers"),
    ("bits", "Bits/dim", "histograms"),
    ("fields", "Parallel coordinates", "parallel"),
    ("trajectories", "Trajectories", "animations"),
    ("neighbours", "Nearest neighbours", "neighbours"),
)


def _filters(study: Study) -> dict[str, Any]:
    """By axis the values to choose among, and of every row the numbers of its own ("-": none)."""
    choices, numbers = [], []
    for axis in study.axes:
        values = list(dict.fromkeys(str(cell.values.get(axis, "–")) for cell in study.cells))
        if 1 < len(values) <= _MAX_CHOICES:
            choices.append((axis, values))
            numbers.append([values.index(str(c.values.get(axis, "–"))) for c in study.cells])
    return {
        "choices": choices,
        "row_choices": list(zip(*numbers, strict=True)) or [()] * len(study.cells),
    }


def _caption(study: Study) -> str:
    if study.table:
        return "Mean ± standard error over seeds; below it the difference to the baseline."
    if study.is_ablation:
        return "Mean ± standard error over the seeds that have ended."
    return "Results, with their own standard errors."


def _notes(study: Study, rows: list[Row]) -> list[str]:
    entries = [entry for row in rows for entry in row.entries.values()]
    notes = []
    if any(entry.difference_text for entry in entries):
        notes.append("Differences are of equal seeds, with their 95 % interval; * is p < 0.05.")
    if any(entry.best for entry in entries) and study.table.get("rule"):
        notes.append(study.table["rule"])
    return notes + study.table.get("notes", [])


def _csv(study: Study, metrics: list[Metric], rows: list[Row]) -> str:
    """The table with all digits."""
    parts = ("mean", "standard_error", "n", "difference", "low", "high", "p", "best")
    header = ["cell", *study.axes, *(f"{m.name} {part}" for m in metrics for part in parts)]
    lines = []
    for row in rows:
        line = [row.cell.name, *(row.cell.values.get(axis) for axis in study.axes)]
        for metric in metrics:
            entry = row.entries.get(metric.name)
            line += [_exact(entry and getattr(entry, part)) for part in parts]
        lines.append(line)
    return as_csv(header, lines)


def _exact(value: Any) -> Any:
    return repr(value) if isinstance(value, float) else value
