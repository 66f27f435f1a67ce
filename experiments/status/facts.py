"""The facts behind the command `status`: what a workdir holds and how far its run is.

They come from files alone, while a run may be writing them; nothing here imports JAX.
"""

import json
import math
import pathlib
import statistics
import time
from dataclasses import dataclass
from typing import Any

from experiments.display.progress_line import seconds_left
from experiments.display.sparkline import resample
from experiments.errors import UserError
from experiments.paths import command, expand, no_experiment
from experiments.workdir.metrics import read_metrics
from experiments.workdir.run_lock import is_held

# The most columns of a sparkline.
WIDTH = 60
# The rate of one line may count a checkpoint or compiling; the median of a few does not.
_LINES_OF_RATE = 10


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The newest result of `likelihood`: bits/dim of so many examples of a split."""

    file: str
    split: str
    examples: int
    bits_per_dim: float
    standard_error: float | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """A workdir's state.

    Args:
      workdir: its path.
      objective, sde, network, parameterization, data: what is trained, by the names of the config.
      seed: of the run.
      step: updates done, by the newest metrics or checkpoint.
      num_steps: updates in all.
      checkpoints: their steps, ascending.
      finished: whether there is a checkpoint of the last step.
      running: whether a run holds the workdir now.
      seconds_since_metrics: since metrics were last written; None before the first.
      metrics: of the newest lines, numbers or lists of numbers.
      losses: of the whole run, as at most `WIDTH` means of equal parts.
      losses_not_finite: lines whose loss is not a finite number.
      seconds_left: to the last step at the rate of the newest lines; None if there is no rate.
      samples, likelihoods, evaluations: the files there are, newest first.
      measured: the newest result of `likelihood`.
    """

    workdir: str
    objective: str
    sde: str
    network: str
    parameterization: str
    data: str
    seed: int
    step: int
    num_steps: int
    checkpoints: list[int]
    finished: bool
    running: bool
    seconds_since_metrics: float | None
    metrics: dict[str, Any]
    losses: list[float]
    losses_not_finite: int
    seconds_left: float | None
    samples: list[str]
    likelihoods: list[str]
    evaluations: list[str]
    measured: Measured | None

    @property
    def next(self) -> list[str]:
        """The commands that have not been run yet; none while a run is writing."""
        if self.running:
            return []
        if not self.finished:
            return [command("train", "--config=FILE", f"--workdir={self.workdir}")]
        if self.objective == "classifier":
            return [command("sample", "--workdir=MODEL", f"--classifier={self.workdir}")]
        # Training draws grids of its own; those of `sample` are named by their step.
        drawn = any(pathlib.Path(file).name.startswith("step") for file in self.samples)
        done = {"sample": drawn, "likelihood": bool(self.measured)}
        return [command(name, f"--workdir={self.workdir}") for name in done if not done[name]]


def read_status(workdir: str | pathlib.Path) -> Status:
    """Read a workdir.

    Raises:
      UserError: it holds no experiment, or its config is damaged.
      OSError: it cannot be read.
    """
    path = expand(workdir)
    about, num_steps, batch_size = _read_config(path)
    lines = read_metrics(path / "metrics.jsonl")
    losses = [_number(line["loss"]) for line in lines if "loss" in line]
    checkpoints = _checkpoints(path / "checkpoints")
    step = max([int(line["step"]) for line in lines[-1:]] + checkpoints[-1:], default=0)
    finished = bool(checkpoints) and checkpoints[-1] >= num_steps
    likelihoods = _newest(path / "likelihood")
    return Status(
        workdir=str(path),
        **about,
        step=step,
        num_steps=num_steps,
        checkpoints=checkpoints,
        finished=finished,
        running=is_held(path / ".lock"),
        seconds_since_metrics=_age(path / "metrics.jsonl") if lines else None,
        metrics=_last(lines),
        losses=resample(losses, WIDTH),
        losses_not_finite=sum(not math.isfinite(loss) for loss in losses),
        seconds_left=None if finished else seconds_left(step, num_steps, _rate(lines), batch_size),
        samples=[str(file) for file in _newest(path / "samples")],
        likelihoods=[str(file) for file in likelihoods],
        evaluations=[str(file) for file in _newest(path / "evaluation")],
        measured=_measured(likelihoods),
    )


def _read_config(path: pathlib.Path) -> tuple[dict[str, Any], int, int]:
    """What is trained, the number of steps, and the batch size."""
    file = path / "config.json"
    if not file.is_file():
        raise no_experiment(path)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        about = {
            "objective": str(config["training"].get("objective", "denoising")),
            "sde": str(config["sde"]["name"]),
            "network": str(config["model"]["name"]),
            "parameterization": str(config["model"]["parameterization"]),
            "data": str(config["data"]["source"]),
            "seed": int(config.get("seed", 0)),
        }
        training = config["training"]
        return about, int(training["num_steps"]), int(training["batch_size"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file}: takes an experiment's config ({error!r})") from error


def _last(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of the newest line of training, and of the newest of samples."""
    training = [line for line in lines if "loss" in line]
    others = [line for line in lines if "loss" not in line]
    newest = {name: value for line in (others[-1:] + training[-1:]) for name, value in line.items()}
    return {name: value for name, value in newest.items() if name != "step"}


def _checkpoints(folder: pathlib.Path) -> list[int]:
    """The steps that are written; a checkpoint that is being written has another name."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def _age(path: pathlib.Path) -> float:
    return max(0.0, time.time() - path.stat().st_mtime)


def _rate(lines: list[dict[str, Any]]) -> float:
    """Images a second by the newest lines; 0 without any."""
    rates = [_number(line.get("images_per_second")) for line in lines[-_LINES_OF_RATE:]]
    finite = [rate for rate in rates if math.isfinite(rate)]
    return statistics.median(finite) if finite else 0.0


def _newest(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a folder, newest first."""
    if not folder.is_dir():
        return []
    files = [path for path in folder.iterdir() if path.is_file()]
    return sorted(files, key=lambda path: (path.stat().st_mtime, path.name), reverse=True)


def _measured(files: list[pathlib.Path]) -> Measured | None:
    for file in files:
        if file.suffix == ".json" and (measured := _read_measured(file)):
            return measured
    return None


def _read_measured(file: pathlib.Path) -> Measured | None:
    """A result of `likelihood`; None of another JSON file."""
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        return Measured(
            file=str(file),
            split=report["protocol"]["split"],
            examples=report["examples"],
            bits_per_dim=report["bits_per_dim"],
            standard_error=report["standard_error"],
        )
    except (ValueError, TypeError, KeyError):
        return None


def _number(value: Any) -> float:
    """A metric as a float, NaN where it is none."""
    return float(value) if isinstance(value, int | float) else math.nan
