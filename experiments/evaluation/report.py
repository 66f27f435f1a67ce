"""What the command `evaluate` writes and prints.

NAME.json            every number with its error bars, and the protocol that it follows from
NAME.png             the first samples, at most 100 of them
NAME.nearest.png     where `nearest` is asked for: samples and the training images nearest to them
"""

import inspect
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.display.pictures import save_png
from experiments.evaluation.comparison import Comparison
from experiments.evaluation.content import warnings_of
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.feature_files import Kept
from experiments.evaluation.metrics.metric import Metric
from experiments.evaluation.nearest_picture import nearest_picture
from experiments.evaluation.question import Question, are_images
from experiments.evaluation.sets import Examples
from experiments.evaluation.subject import Subject
from experiments.paths import name_of_files
from experiments.sampling.files import picture
from experiments.workdir.results import JSON, Result

PICTURE, NEAREST = ".png", ".nearest.png"

_WHAT = {
    "fd": "Fréchet distance of the features; 0 is best",
    "fd_infinity": "the same for infinitely many samples, by extrapolation",
    "fd_by_class": "the mean of the classes' own",
    "kd": "kernel distance of the features; 0 is best, and it may be below",
    "kd_subsets": "the same as published, the mean over subsets",
    "is": "Inception score; higher is better",
    "precision": "fraction of the samples that lie among the data",
    "recall": "fraction of the data that lie among the samples",
    "density": "how densely the data lie around samples",
    "coverage": "fraction of the data that have a sample near",
    "mmd": "squared maximum mean discrepancy; 0 is best, and it may be below",
    "sw2": "sliced Wasserstein distance",
    "sw2_floor": "the same of two sets of real examples",
    "c2st": "fraction that a classifier tells apart; 0.5 is best",
    "accuracy": "fraction of the samples that a classifier gives their label",
    "accuracy_reference": "the same of the reference",
    "accuracy_test": "the same of the test set",
    "copied": "fraction of the samples that are copies of training examples",
    "copied_test": "the same of the test set: what is normal",
    "authentic": "fraction of the samples that are no nearer to the data than the data are",
    "authentic_test": "the same of the test set: what is normal",
    "bpd": "bits/dim of the test split",
}
"""What a number is, for its line of the table; of one's own metric, its docstring's first line."""

_DETAILS = {"p_value": "p-value of equal laws", "of_equal_sets": "of equal laws"}
"""Figures of an estimate's details that its line has too."""


def record(
    result: Result,
    numbers: Mapping[str, Estimate],
    choices: Mapping[str, str] | None = None,
    **more: Any,
) -> None:
    """Write NAME.json.

    Args:
      result: its name and protocol.
      numbers: by name.
      choices: by the same names the words that have asked for the metric that they are of.
      more: what else is to be said.
    """
    metrics = {name: estimate.as_json() for name, estimate in numbers.items()}
    result.record({"metrics": metrics, "choices": choices or {}, **more})


def stored(result: Result) -> dict[str, Estimate]:
    """The numbers of NAME.json; null is no number."""
    numbers = {}
    for name, fields in result.report["metrics"].items():
        value = math.nan if fields["value"] is None else fields["value"]
        numbers[name] = Estimate(**{**fields, "value": value})
    return numbers


def summary(result: Result, question: Question, pictures: tuple[str, ...], *, before: bool) -> str:
    """A table of the numbers, what to know of them, and where they were written.

    Args:
      result: as it was written.
      question: what was asked for.
      pictures: their suffixes.
      before: whether the result was there.
    """
    choices = result.report.get("choices", {})
    rows = [
        (name, number.text(), _what(name, number, question.metrics.get(choices.get(name, ""))))
        for name, number in stored(result).items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows]
    note = ["measured before, by the same protocol; --seed draws other samples"] if before else []
    written = ", ".join(str(result.file(suffix)) for suffix in (JSON, *pictures))
    return "\n".join([*note, *lines, *_notes(result.report), written])


def _what(name: str, number: Estimate, metric: Metric | None) -> str:
    """What a number of a metric is, and what of its details changes how it is read."""
    what = _WHAT.get(name.partition(" ")[0], "")
    if not what and metric is not None:
        what = (inspect.getdoc(type(metric)) or "").partition("\n")[0]
    phrases = [what] if what else []
    phrases += ["RANK-DEFICIENT"] if number.details.get("rank_deficient") else []
    phrases += [
        f"{text} {number.details[k]:.3g}" for k, text in _DETAILS.items() if k in number.details
    ]
    return "; ".join(phrases)


def _notes(report: dict[str, Any]) -> list[str]:
    """Against what, by which features, and what to know of that."""
    return [*report.get("about", []), *report.get("warnings", [])]


def named(folder: pathlib.Path, words: str, protocol: dict[str, Any], output: str | None) -> Result:
    """Where to write: as named by hand, or by protocol.

    Raises:
      UserError: a folder is no name.
    """
    if output is None:
        return Result.named(folder, words, protocol)
    path = name_of_files(output, "--output")
    path = path.with_suffix("") if path.suffix in (JSON, PICTURE) else path
    return Result(path, protocol, flag="--output")


def suffixes(subject: Subject, comparison: Comparison) -> tuple[str, ...]:
    """Of the pictures."""
    nearest = comparison.question.asks_for("nearest") and are_images(subject.data)
    return (PICTURE, *([NEAREST] if nearest else []))


def save_pictures(
    kept: Kept, subject: Subject, comparison: Comparison, result: Result, about: dict[str, str]
) -> None:
    """Write a picture of the first samples, and one with their neighbours."""
    data, shown = subject.data, kept.values
    labels = kept.examples.labels
    first = picture(
        data.codec.encode(shown), data, None if labels is None else labels[: len(shown)]
    )
    save_png(result.file(PICTURE), first, **about)
    reference, split = comparison.reference, comparison.against.reference
    if NEAREST in suffixes(subject, comparison) and split is not None:
        assert isinstance(reference, Examples)
        features = kept.examples.features
        drawn = nearest_picture(shown, features, split, reference.features, comparison.rows)
        save_png(result.file(NEAREST), drawn, **about)


def said(kept: Kept, subject: Subject, comparison: Comparison, seconds: float) -> dict[str, Any]:
    """What the result's file says besides numbers and protocol."""
    split = comparison.against.reference
    against = str(comparison.against.statistics)
    warnings: list[str] = []
    if split is not None:
        classes = "" if comparison.classes is None else f" of classes {comparison.classes}"
        against = f"{comparison.reference.num} examples{classes} of {split.source} ({split.name})"
        warnings += warnings_of(split)
    if not subject.is_drawn:
        warnings += warnings_of(subject.data)
    features, calls = comparison.extractor.protocol["name"], kept.evaluations
    each = "" if calls is None else f" by {calls.mean():.0f} network evaluations each"
    return {
        "about": [
            f"{kept.examples.num} samples{each}, against {against}, in {kept.examples.dim} "
            f"features: {features}"
        ],
        "warnings": warnings,
        "evaluations_mean": None if calls is None else float(calls.mean()),
        "seconds": round(seconds, 2),
    }
