"""The command `evaluate`: how good samples are, with error bars and what every number follows from.

    reference → features                                kept, and found again by their content
    model → samples → values → features                 batch by batch, none held
    features → metrics → numbers, table, pictures

Samples of a run that was killed are not drawn again: it goes on where it stopped, with the same
numbers.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.errors import UserError
from experiments.evaluation import report
from experiments.evaluation.against import Against
from experiments.evaluation.bits import bits_of, bits_protocol
from experiments.evaluation.comparison import Comparison
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.feature_files import Kept, extract
from experiments.evaluation.labels import Labels
from experiments.evaluation.question import BITS, Question
from experiments.evaluation.subject import Subject
from experiments.paths import expand
from experiments.runtime.versions import versions
from experiments.sampling.classifier_guide import ClassifierGuide
from experiments.workdir.results import Result
from experiments.workdir.trained_model import TrainedModel

_MAX_EXAMPLES = 10_000
"""Samples that are drawn where nobody has said how many, and the reference has no fewer."""


class Evaluated(NamedTuple):
    """What has been measured.

    Args:
      numbers: by name.
      result: where they were written, with what they follow from.
      summary: a table of them and the files, for a person to read.
    """

    numbers: dict[str, Estimate]
    result: Result
    summary: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filing:
    """Where the files of an evaluation go, and what becomes of them.

    Args:
      features: the folder of features; None: beside the results.
      lock: held while those of the data are made, where processes share the folder.
      output: a name for the results; None: one that follows from their protocol.
      about: goes into the pictures' metadata.
      keep: whether the samples' features are kept, for other metrics of the same samples.
    """

    features: pathlib.Path | None = None
    lock: contextlib.AbstractContextManager = dataclasses.field(
        default_factory=contextlib.nullcontext
    )
    output: str | None = None
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)
    keep: bool = True


def evaluate(
    trained: TrainedModel,
    *,
    metrics: str | None = None,
    features: str | None = None,
    num: int | None = None,
    seed: int = 0,
    split: str = "train",
    reference: str | None = None,
    sde: str | None = None,
    guide: ClassifierGuide | None = None,
    classes: Sequence[int] | None = None,
    filing: Filing = Filing(),
    flags: tuple[str, str] = ("--metrics", "--features"),
) -> Evaluated:
    """Measure samples of a trained model, or find what was measured by the same protocol before.

    Args:
      trained: the model, its experiment and its workdir.
      metrics, features: as of the flags; None: what suits the data.
      num: of samples; None: as many as the reference has, at most 10,000.
      seed: sample i depends on (seed, i) alone; so do the metrics' own draws on it.
      split: of the data, with which samples are compared: "train" or "test".
      reference: a file of statistics with which they are compared instead.
      sde: another SDE to sample under, NAME[:field=value,…].
      guide: a classifier that guides the model.
      classes: of samples, by their numbers, and of the examples that they are compared with; None
        for all, as often as the reference has them.
      filing: where its files go; by default the workdir.
      flags: by which `metrics` and `features` were given, for messages.

    Raises:
      UserError: no such metric, features, solver or SDE; a metric needs what is not there; a sample
        is not finite; or nothing can be written.
    """
    question = None if metrics is None else Question.of(metrics, flags[0])
    place = trained.workdir.path / "evaluation"
    if question is not None and not question.metrics:
        return _bits_alone(trained, question, seed, place, filing)
    labels = Labels.of(trained, guide)
    file = None if reference is None else expand(reference)
    with filing.lock:
        comparison = Comparison.of(
            question,
            Against.of_trained(trained, split, file),
            trained.train,
            features,
            filing.features or place / "features",
            labelled=labels.are_the_datas,
            classes=classes if labels.of_one_kind else None,
            flag=flags[1],
        )
        num = _number(num, comparison)
        comparison.extract()
    cond = labels.conditions(comparison, num, classes)
    subject = Subject.of_model(trained, num=num, seed=seed, sde=sde, guide=guide, cond=cond)
    return _measured(subject, comparison, place, seed, filing, trained)


def evaluate_files(
    source: str,
    against: Against,
    *,
    metrics: str | None = None,
    features: str | None = None,
    num: int | None = None,
    seed: int = 0,
    folder: pathlib.Path = pathlib.Path("evaluation"),
    filing: Filing = Filing(),
) -> Evaluated:
    """Measure samples that are in files.

    Args:
      source: npz:FILE or folder:DIR.
      against: what they are compared with.
      num: the first so many; None for all.
      folder: of results.
      metrics, features, seed, filing: as of `evaluate`.

    Raises:
      UserError: as of `evaluate`; or the samples cannot be read, or are not like the data.
    """
    question = None if metrics is None else Question.of(metrics)
    if question is not None and question.bits is not None:
        raise UserError(f"--metrics: {BITS} is a model's, takes --workdir without --samples")
    subject = Subject.of_files(source, against.train, num)
    place = filing.features or folder / "features"
    with filing.lock:
        comparison = Comparison.of(
            question, against, subject.data, features, place, labelled=subject.labelled
        )
    comparison.question.check_num(subject.batches.num)
    if against.reference is not None:
        comparison.question.check_reference(against.reference.num)
    return _measured(subject, comparison, folder, seed, filing)


def _number(num: int | None, comparison: Comparison) -> int:
    """How many samples to draw.

    Raises:
      UserError: a metric takes more.
    """
    split = comparison.against.reference
    if num is None:
        num = _MAX_EXAMPLES if split is None else min(_MAX_EXAMPLES, comparison.num)
    comparison.question.check_num(num)
    return num


def _measured(
    subject: Subject,
    comparison: Comparison,
    folder: pathlib.Path,
    seed: int,
    filing: Filing,
    trained: TrainedModel | None = None,
) -> Evaluated:
    """The numbers of samples, measured or found."""
    question = comparison.question
    protocol = {
        "samples": subject.protocol,
        **comparison.protocol,
        **bits_protocol(trained, question),
        "seed": seed,
        "versions": versions(),
    }
    name = str(comparison.extractor.protocol["name"])
    words = f"{subject.words}-{name}-num{subject.batches.num}"
    result = report.named(folder, words, protocol, filing.output)
    suffixes = report.suffixes(subject, comparison)
    before = result.is_there(*suffixes)
    if not before:
        place = comparison.place(subject.protocol, f"samples-{words}")
        start = time.perf_counter()
        kept = extract(subject.batches, comparison.extractor, place)
        seconds = time.perf_counter() - start
        numbers, choices = _numbers(kept, comparison, seed)
        numbers |= bits_of(trained, question, seed)
        report.record(result, numbers, choices, **report.said(kept, subject, comparison, seconds))
        report.save_pictures(kept, subject, comparison, result, dict(filing.about))
        if not filing.keep:
            shutil.rmtree(place)
    text = report.summary(result, question, suffixes, before=before)
    return Evaluated(report.stored(result), result, text)


def _numbers(
    kept: Kept, comparison: Comparison, seed: int
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """The numbers of all metrics, and by the same names the words that have asked for each.

    Of a name that two metrics have, the second's has its words.
    """
    numbers: dict[str, Estimate] = {}
    choices: dict[str, str] = {}
    for choice, metric in comparison.question.metrics.items():
        found = metric.measure(kept.examples, comparison.reference, comparison.test, seed)
        for name, estimate in found.items():
            name = f"{name} of {choice}" if name in numbers else name
            numbers[name], choices[name] = estimate, choice
    return numbers, choices


def _bits_alone(
    trained: TrainedModel, question: Question, seed: int, folder: pathlib.Path, filing: Filing
) -> Evaluated:
    """Bits/dim, for which nothing is drawn."""
    protocol = {**trained.protocol, **bits_protocol(trained, question), "seed": seed}
    result = report.named(folder, f"step{trained.step}-{BITS}-seed{seed}", protocol, filing.output)
    before = result.is_there()
    if not before:
        report.record(result, bits_of(trained, question, seed))
    return Evaluated(
        report.stored(result), result, report.summary(result, question, (), before=before)
    )
