"""What every metric checks, and how metrics are asked for."""

import dataclasses

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.metrics.metric import LABELS, Metric, asked
from experiments.evaluation.sets import Examples, Moments
from sde_lib import ranged

HERE = f"{__name__}:Difference"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference(Metric):
    """The difference of means in one dimension, times a factor."""

    factor: float = ranged(1.0, above=0)
    other: int = 0

    def compute(self, generated, reference, test, seed):
        return {"difference": Estimate(self.factor * float(generated.features.mean()))}


class Labelled(Difference):
    """One that needs labels, and three examples."""

    needs = frozenset({LABELS})
    least = 3


def examples(num=4, dim=2, **more):
    return Examples(features=np.ones((num, dim), np.float32), **more)


def diverged():
    return Examples(features=np.array([[1, np.inf], [2, 3]], np.float32))


def test_asked_for_by_words():
    """Commas stand between metrics and between the fields of one."""
    found = asked(f"{HERE}:factor=2.5,other=3, {HERE}")
    assert list(found.values()) == [Difference(factor=2.5, other=3), Difference()]
    assert found[HERE].measure(examples(), examples())["difference"].value == 1.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "--metrics: got '', takes values"),
        ("fd_", "--metrics: unknown metric 'fd_'"),
        (f"{HERE},{HERE}", f"--metrics: got {HERE} twice"),
        (f"{HERE}:factr=2", "unknown field 'factr'; did you mean 'factor'"),
        (f"{HERE}:factor=-1", "factor: got -1, takes a number > 0"),
    ],
)
def test_words_that_ask_for_nothing(text, says):
    with pytest.raises(UserError, match=says) as error:
        asked(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("metric", "generated", "reference", "says"),
    [
        (Difference(), examples(dim=3), examples(), "reference features of 2 dimensions, takes 3"),
        (Difference(), examples(num=1), examples(), "got 1 generated examples, takes 2"),
        (Difference(), examples(), examples(num=1), "got 1 reference examples, takes 2"),
        (Difference(), examples(), Moments.of(np.ones((4, 2))), "got moments as the reference"),
        (Difference(), examples(), diverged(), "got 1 reference examples that are not finite"),
        (Labelled(), examples(), examples(), "samples without labels"),
        (Labelled(), examples(2, labels=np.ones(2, int)), examples(), "takes 3 or more"),
    ],
)
def test_sets_that_it_cannot_be_measured_of(metric, generated, reference, says):
    with pytest.raises(UserError, match=says) as error:
        metric.measure(generated, reference)
    assert "\n" not in str(error.value)
