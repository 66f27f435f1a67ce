"""What cells are compared by: its name in words, and whether less or more of it is better."""

import re
from collections.abc import Sequence

from experiments.ablation.question import Question
from experiments.config_schema.choice import split_choices
from experiments.errors import UserError
from experiments.evaluation.metrics import asked, metrics
from sde_lib.registry import unknown_name

OWN = {
    "bpd": "bits/dim",
    "error": "RMS distance to the fine solution",
    "nfe": "network evaluations",
    "loss": "loss at the end of training",
    "seconds": "seconds of sampling",
}
"""What an ablation measures itself; the rest is of the metrics of `evaluation`."""

_MORE_IS_BETTER = {"is", "precision", "recall", "density", "coverage", "accuracy"}
_LESS_IS_BETTER = {
    *OWN,
    *("fd", "fd_infinity", "fd_by_class", "kd", "kd_subsets", "mmd", "sw2", "c2st"),
}


def label(name: str) -> str:
    """A number's name in words."""
    return OWN.get(name, name)


def lower_is_better(name: str) -> bool | None:
    """Whether less of a number is better; None where neither is."""
    name = re.split(r"[:@]", name)[0]
    if name in _LESS_IS_BETTER:
        return True
    return False if name in _MORE_IS_BETTER else None


def names(question: Question) -> list[str]:
    """The metrics that a question asks for, of which each is known.

    By default bits/dim where anything but sampling varies; where sampling does, the error of
    deterministic solvers and the number of evaluations.

    Raises:
      UserError: one of them is not known, or asked for twice.
    """
    if question.metrics is None:
        varies = [axis.field.startswith("sampling.") for axis in question.over]
        found = [] if varies and all(varies) else ["bpd"]
        return found + (["error", "nfe"] if any(varies) else [])
    found = [*split_choices(question.metrics, "--metrics")]
    for name in found:
        if found.count(name) > 1:
            raise UserError(f"--metrics: got {name} twice, takes each once")
        plain = name.partition(":")[0]
        if plain in OWN and plain != name:
            raise UserError(f"--metrics: got {name}, takes {plain} without fields")
        if plain not in OWN and plain not in metrics and ":" not in name:
            known = [*OWN, *metrics]
            raise UserError(f"--metrics: {unknown_name('metric', name, known)}")
    if others := of_evaluation(found):
        asked(",".join(others))
    return found


def of_evaluation(asked_for: Sequence[str]) -> list[str]:
    """Those metrics that `evaluation` measures."""
    return [name for name in asked_for if name not in OWN]
