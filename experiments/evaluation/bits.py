"""Bits/dim beside the numbers of samples: what `scoresde likelihood` measures of the test split."""

import dataclasses
import json
from typing import Any

from experiments.evaluation.content import content_of
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.question import BITS, Question
from experiments.likelihood.measure import measure
from experiments.workdir.trained_model import TrainedModel


def bits_of(trained: TrainedModel | None, question: Question, seed: int) -> dict[str, Estimate]:
    """Bits/dim of the test split, where they are asked for."""
    if question.bits is None or trained is None:
        return {}
    path = measure(trained, trained.dataset("test"), seed=seed, limit=question.bits.limit)[1]
    found = json.loads(path.read_text(encoding="utf-8"))
    low, high = found["interval_95"] or (None, None)
    details = {"target": found["target"], "examples": found["examples"], "result": str(path)}
    estimate = Estimate(found["bits_per_dim"], found["standard_error"], low, high, details)
    return {BITS: estimate}


def bits_protocol(trained: TrainedModel | None, question: Question) -> dict[str, Any]:
    """All that they follow from besides the model."""
    if question.bits is None or trained is None:
        return {}
    section = dataclasses.asdict(trained.experiment.likelihood)
    data = content_of(trained.opened("test"))
    return {BITS: {**section, "data": data, "limit": question.bits.limit}}
