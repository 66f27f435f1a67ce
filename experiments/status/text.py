"""What the command `status` prints: a screen of text, or one JSON object."""

import dataclasses
import json
import math
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from experiments.display.progress_line import duration, number
from experiments.display.sparkline import resample, spans_a_decade, sparkline
from experiments.status.facts import WIDTH, Status

# Of each folder the newest files are named and the rest counted.
_NAMED = 3


def as_json(status: Status) -> str:
    """The facts as one JSON object in ASCII; a number that is not finite is null."""
    facts = {**dataclasses.asdict(status), "next": status.next}
    return json.dumps(_finite(facts), indent=2, allow_nan=False)


def as_text(status: Status) -> str:
    """The facts in a few lines, as wide as the terminal."""
    columns = shutil.get_terminal_size().columns
    lines = [
        f"{status.workdir}: {status.network} ({status.parameterization} parameterization) "
        f"on {status.data} under {status.sde}",
        _progress(status),
        _liveness(status),
        *_scalars(status.metrics),
        *_loss(status, columns),
        *_bins(status.metrics, columns),
        *_made("samples", status.samples),
        *_made("likelihood", status.likelihoods),
        *_made("evaluation", status.evaluations),
        *_measured(status),
        *_next(status),
    ]
    return "\n".join(lines)


def _progress(status: Status) -> str:
    percent = 100 * status.step / status.num_steps
    kept = ", ".join(map(str, status.checkpoints)) or "none"
    left = ""
    if status.seconds_left is not None:
        left = f", {duration(status.seconds_left)} of training left"
    return f"step {status.step} of {status.num_steps} ({percent:.0f} %){left}; checkpoints: {kept}"


def _liveness(status: Status) -> str:
    state = "finished" if status.finished else "not running"
    state = "running" if status.running else state
    if status.seconds_since_metrics is None:
        return f"{state}; no metrics yet"
    return f"{state}; metrics written {duration(status.seconds_since_metrics)} ago"


def _scalars(metrics: dict[str, Any]) -> list[str]:
    words = [
        f"{name} {'not finite' if value is None else number(value)}"
        for name, value in sorted(metrics.items(), key=lambda item: item[0] != "loss")
        if value is None or isinstance(value, int | float)
    ]
    return [", ".join(words)] if words else []


def _loss(status: Status, columns: int) -> list[str]:
    if not status.losses:
        return []
    lines = [_curve("loss", status.losses, columns, "over the run")]
    if status.losses_not_finite:
        lines.append(f"lines of metrics with a loss that is not finite: {status.losses_not_finite}")
    return lines


def _bins(metrics: dict[str, Any], columns: int) -> list[str]:
    return [
        _curve(
            name,
            [math.nan if v is None else v for v in values],
            columns,
            f"in {len(values)} bins of time",
        )
        for name, values in metrics.items()
        if isinstance(values, list) and values
    ]


def _curve(name: str, values: Sequence[float], columns: int, what: str) -> str:
    """A sparkline between its first and last value, with what its axes are."""
    log = spans_a_decade(values)
    before, after = f"{name} {number(values[0])} ", f" {number(values[-1])} {what}"
    after += ", log scale" if log else ""
    width = min(WIDTH, max(1, columns - len(before) - len(after)))
    return before + sparkline(resample(values, width), log=log) + after


def _made(name: str, files: list[str]) -> list[str]:
    if not files:
        return []
    named = ", ".join(pathlib.Path(file).name for file in files[:_NAMED])
    more = f" and {len(files) - _NAMED} older" if len(files) > _NAMED else ""
    return [f"{name}/: {named}{more}"]


def _measured(status: Status) -> list[str]:
    found = status.measured
    if found is None:
        return []
    error = "" if found.standard_error is None else f" ± {found.standard_error:.4f}"
    return [f"{found.bits_per_dim:.4f}{error} bits/dim of {found.examples} {found.split} examples"]


def _next(status: Status) -> list[str]:
    lines = [f"next: {command}" for command in status.next]
    if not status.finished and lines:
        resumed = status.checkpoints[-1] if status.checkpoints else 0
        lines = [f"{line}, as it was started, goes on from step {resumed}" for line in lines]
    return lines


def _finite(value: Any) -> Any:
    """The value with None in the place of what JSON cannot say."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
