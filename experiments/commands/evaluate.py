"""The command `evaluate`."""

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from experiments.commands.arguments import add_model, new_command, positive
from experiments.commands.opening import open_trained
from experiments.commands.sampling_flags import add_sampling, guide_of, sampling_fields
from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.evaluation.against import Against
    from experiments.workdir.trained_model import TrainedModel

_OF_MODELS: tuple[str, ...] = (
    *("solver", "corrector", "steps", "rtol", "grid", "sde"),
    *("classes", "guidance", "classifier", "classifier_scale"),
)
"""Flags that say how a model draws samples."""


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "evaluate", _run, "measure samples against data, by metrics")
    add_model(parser, required=False)
    add = parser.add_argument
    add("--metrics", metavar="LIST", help="fd,kd,prdc:k=3,…; default: by the data")
    add("--features", metavar="NAME", help="NAME[:field=value,…]; default: by the data")
    add("--num", type=positive, metavar="N", help="number of samples; default: at most 10000")
    add("--split", metavar="NAME", help="compare with train (default), test or all")
    add("--samples", metavar="SOURCE", help="measure these: npz:FILE or folder:DIR")
    add("--data", metavar="SOURCE", help="without --workdir: what --samples are compared with")
    add("--reference", metavar="FILE", help="compare with statistics: an .npz of mu and sigma")
    add("--make_reference", metavar="FILE", help="write such statistics of the data, and end")
    add_sampling(parser)
    add("--output", help="write OUTPUT.json and .png, not evaluation/...")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.display.pictures import provenance
    from experiments.evaluation.evaluate import Filing, evaluate, evaluate_files
    from experiments.runtime import devices, seeds

    _check(options)
    seeds.check(options.seed, "--seed")
    devices.start()
    trained = _opened(options, overrides) if options.workdir else None
    if options.make_reference:
        print(_make_reference(options, trained))
        return
    asked: dict[str, Any] = {
        "metrics": options.metrics,
        "features": options.features,
        "num": options.num,
        "seed": options.seed,
        "filing": Filing(output=options.output, about=provenance(sys.argv, options.seed)),
    }
    if options.samples:
        against, folder = _against(options, trained), _folder(trained)
        print(evaluate_files(options.samples, against, folder=folder, **asked).summary)
    elif trained is not None:
        print(evaluate(trained, **asked, **_sampled(options, trained)).summary)


def _check(options: argparse.Namespace) -> None:
    """Stop flags that do not go together, and names that do not exist.

    Raises:
      UserError: they do not.
    """
    from experiments.evaluation.features import build_features
    from experiments.evaluation.question import Question
    from experiments.paths import name_of_files

    if (
        not options.workdir
        and not options.samples
        and not (options.make_reference and options.data)
    ):
        raise UserError("--workdir: not given, takes --workdir=DIR, or --samples=SOURCE")
    if options.workdir and options.data:
        raise UserError("--data: takes no --workdir, whose data samples are compared with")
    if options.reference and (options.split or options.make_reference):
        other = "--split" if options.split else "--make_reference"
        raise UserError(f"{other}: takes no --reference, which has statistics alone")
    if options.samples and options.make_reference:
        raise UserError("--make_reference: takes no --samples, it writes what they compare with")
    for flag in _OF_MODELS if options.samples or not options.workdir else ():
        if getattr(options, flag) is not None:
            raise UserError(f"--{flag}: takes a model to draw samples of, --workdir alone")
    if options.metrics is not None:
        Question.of(options.metrics)
    if options.features is not None:
        build_features(options.features)
    if options.output is not None:
        name_of_files(options.output, "--output")


def _opened(options: argparse.Namespace, overrides: list[str]) -> "TrainedModel":
    """The trained model, with what flags say of how it is sampled."""
    from experiments.evaluation.question import Question
    from experiments.sampling.draw import with_flags

    measures = options.metrics is not None and Question.of(options.metrics).bits is not None
    fields = {**sampling_fields(options), "likelihood.batch_size": options.batch}
    trained = open_trained(
        options, overrides, fields, "sampling", "likelihood", divergence=measures
    )
    return with_flags(trained, vars(options))


def _sampled(options: argparse.Namespace, trained: "TrainedModel") -> dict[str, Any]:
    """What `evaluate` takes of the flags that say how samples are drawn."""
    from experiments.sampling.conditions import parse_classes

    guide = guide_of(options, trained)
    labelled = guide.trained if guide and not guide.conditional else trained
    return {
        "split": options.split or "train",
        "reference": options.reference,
        "sde": options.sde,
        "guide": guide,
        "classes": parse_classes(options.classes, labelled.experiment, labelled.train),
    }


def _against(options: argparse.Namespace, trained: "TrainedModel | None") -> "Against":
    """What samples are compared with, or statistics made of."""
    from experiments.evaluation.against import Against
    from experiments.paths import expand

    file = expand(options.reference) if options.reference else None
    if trained is not None:
        return Against.of_trained(trained, options.split or "train", file)
    return Against.of_source(options.data, options.split, file)


def _make_reference(options: argparse.Namespace, trained: "TrainedModel | None") -> str:
    """Write statistics of the data; what was written, in a line."""
    from experiments.evaluation.make_reference import make_reference

    against, folder = _against(options, trained), _folder(trained) / "features"
    return make_reference(against, options.make_reference, options.features, folder)


def _folder(trained: "TrainedModel | None") -> pathlib.Path:
    """Where results are written: in the workdir, or where one stands."""
    return (pathlib.Path() if trained is None else trained.workdir.path) / "evaluation"
