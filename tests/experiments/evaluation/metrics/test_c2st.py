"""The classifier two-sample test."""

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.metrics.c2st import C2ST
from experiments.evaluation.sets import Examples


def ring(num, radius, seed):
    """Points that no line tells from those of another radius."""
    noise = np.random.default_rng(seed).normal(size=(num, 2))
    return Examples(features=radius * noise / np.linalg.norm(noise, axis=1, keepdims=True))


def test_what_can_be_told_apart():
    """All of what differs; half of what does not, even where one set is larger."""
    apart = C2ST().measure(ring(300, 1, 0), ring(200, 3, 1))["c2st"]
    assert apart.value > 0.95
    assert apart.details["p_value"] < 1e-9
    assert apart.details["examples"] == 200
    alike = C2ST().measure(ring(300, 1, 0), ring(150, 1, 1))["c2st"]
    assert alike.low < 0.5 < alike.high
    assert alike.details["p_value"] > 0.01
    with pytest.raises(UserError, match="c2st: got 20 generated examples, takes 50 or more"):
        C2ST().measure(ring(20, 1, 0), ring(150, 1, 1))
