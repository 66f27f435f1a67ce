"""One cell, from its trained model to its numbers."""

import dataclasses
import json
import math
import pathlib
import time
from typing import Any

import numpy as np

from experiments.ablation import fine, quantities
from experiments.ablation.cell import Cell
from experiments.ablation.folder import AblationFolder
from experiments.ablation.locks import waiting
from experiments.ablation.question import Question
from experiments.builders.model import build_network
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.evaluate import Filing, evaluate
from experiments.likelihood.measure import measure
from experiments.sampling.conditions import condition_of
from experiments.sampling.draw import draw
from experiments.training.shared import Shared
from experiments.workdir.metrics import read_metrics
from experiments.workdir.results import JSON
from experiments.workdir.trained_model import TrainedModel

_SHOWN = 100
"""Samples that a picture shows."""

Report = dict[str, Any]
"""What results/HASH.json holds, as `ablation.folder` says; parts of it here."""


def measured(
    cell: Cell,
    question: Question,
    trained: TrainedModel,
    folder: AblationFolder,
    about: dict[str, str],
    shared: Shared,
) -> Report:
    """What a cell gives: its samples, and the numbers that the question asks for.

    Args:
      cell: the cell.
      question: whose it is.
      trained: its model, of which the cell says how it is sampled and measured.
      folder: the ablation's.
      about: goes into the pictures' metadata.
      shared: of the cells before, whose data are not read again.

    Raises:
      UserError: samples or log-densities are not finite, or a metric cannot be measured.
    """
    asked = quantities.names(question)
    experiment = cell.experiment
    own = dataclasses.replace(
        trained.experiment, sampling=experiment.sampling, likelihood=experiment.likelihood
    )
    trained = dataclasses.replace(trained, experiment=own)
    report: Report = {"metrics": {}, "seconds": {}, "evaluation": None, "likelihood": None}
    _sample(cell, question, asked, trained, folder, about, report)
    if "loss" in asked:
        report["metrics"]["loss"] = _loss(trained)
    if "bpd" in asked:
        _likelihood(cell, question, trained, folder, report, shared)
    if others := quantities.of_evaluation(asked):
        _evaluate(cell, question, others, trained, folder, about, report)
    report["metrics"] = {
        name: estimate.as_json() for name, estimate in _in_order(report["metrics"], asked).items()
    }
    return report


def _in_order(found: dict[str, Estimate], asked: list[str]) -> dict[str, Estimate]:
    """The numbers in the order in which they are asked for, then those of further names."""
    return {name: found[name] for name in [*asked, *found] if name in found}


def _sample(
    cell: Cell,
    question: Question,
    asked: list[str],
    trained: TrainedModel,
    folder: AblationFolder,
    about: dict[str, str],
    report: Report,
) -> None:
    """Draw the samples, and measure what is of them alone."""
    num = question.num or cell.experiment.sampling.num
    if quantities.of_evaluation(asked):
        # They draw their own, of which these are the first.
        num = min(num, _SHOWN)
    cond = condition_of(trained.experiment, trained.train, num)
    compares = "error" in asked and fine.is_deterministic(trained)
    # Cells that differ in likelihood alone have the same samples.
    with waiting(folder.lock(f"samples-{cell.samples_digest(num)}")):
        drawn = draw(
            trained,
            num=num,
            seed=cell.seed,
            about=about,
            cond=cond,
            class_names=trained.train.class_names,
            # The file has grey levels, the comparison takes the samples themselves.
            again=compares,
        )
    cost = drawn.result.report
    report["samples"] = _relative(drawn.result.file(".npz"), folder)
    report["evaluations"] = cost["evaluations_mean"]
    report["seconds"]["sample"] = cost["seconds"]
    own = {"nfe": cost["evaluations_mean"], "seconds": cost["seconds"]}
    report["metrics"] |= {name: Estimate(own[name]) for name in own if name in asked}
    if compares:
        assert drawn.samples is not None
        x = np.asarray(drawn.samples.x)
        with waiting(folder.lock("fine")):
            found = fine.error(trained, x, cell.seed, cond, folder.path / "fine")
        report["metrics"]["error"] = found


def _likelihood(
    cell: Cell,
    question: Question,
    trained: TrainedModel,
    folder: AblationFolder,
    report: Report,
    shared: Shared,
) -> None:
    """Measure bits/dim of the split that the likelihood section names."""
    network = build_network(trained.experiment.model, divergence=True)
    model = dataclasses.replace(trained.model, network=network)
    trained = dataclasses.replace(trained, model=model)
    split, conditional = trained.experiment.likelihood.split, trained.experiment.model.conditional
    data = shared.data(
        f"{split}, conditional {conditional}", trained.experiment, lambda: trained.dataset(split)
    )
    _, path = measure(trained, data, seed=cell.seed, limit=question.limit)
    found = json.loads(path.read_text(encoding="utf-8"))
    low, high = found["interval_95"] or (None, None)
    details = {"examples": found["examples"]}
    report["metrics"]["bpd"] = Estimate(
        found["bits_per_dim"], found["standard_error"], low, high, details
    )
    report["seconds"]["likelihood"] = found["seconds"]
    report["likelihood"] = _relative(path, folder)


def _evaluate(
    cell: Cell,
    question: Question,
    names: list[str],
    trained: TrainedModel,
    folder: AblationFolder,
    about: dict[str, str],
    report: Report,
) -> None:
    """Measure the metrics of `evaluation`, of samples that it draws."""
    start = time.perf_counter()
    evaluated = evaluate(
        trained,
        metrics=",".join(names),
        features=question.features,
        num=question.num,
        seed=cell.seed,
        filing=Filing(
            about=about,
            # Cells of the same data have the same features of them.
            features=folder.path / "features",
            lock=waiting(folder.lock("features")),
        ),
    )
    report["metrics"] |= evaluated.numbers
    report["seconds"]["evaluate"] = round(time.perf_counter() - start, 2)
    report["evaluation"] = _relative(evaluated.result.file(JSON), folder)


def _loss(trained: TrainedModel) -> Estimate:
    """The loss in the last line of metrics, a mean over `training.log_every` steps."""
    losses = [line["loss"] for line in read_metrics(trained.workdir.metrics) if "loss" in line]
    return Estimate(math.nan if not losses or losses[-1] is None else losses[-1])


def _relative(path: pathlib.Path, folder: AblationFolder) -> str:
    """A path as a result says it: relative to the folder, if it is in it."""
    here, there = path.absolute(), folder.path.absolute()
    return here.relative_to(there).as_posix() if here.is_relative_to(there) else str(here)
