"""A number with its error bars: as text and as JSON."""

import json

import numpy as np
import pytest

from experiments.evaluation.estimate import Estimate


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(1.23449, 0.0251), "1.234 ± 0.025"),
        (Estimate(1234.4, 17.0), "1234 ± 17"),
        (Estimate(0.5, None, 0.4312, 0.5688), "0.5 (0.431 to 0.569)"),
        (Estimate(1e-5, 0.0), "1e-05"),
        (Estimate(float("nan"), 0.1), "nan"),
    ],
)
def test_as_text(estimate, text):
    """Two digits of the error, and the number to the same place."""
    assert estimate.text() == text


def test_as_json():
    """What it says survives JSON; NumPy's numbers are Python's, what is not finite is null."""
    details = {"flag": np.bool_(True), 3: np.float32(0.5), "list": np.arange(2), "t": (np.nan,)}
    written = json.dumps(Estimate(np.float64(2.0), np.inf, details=details).as_json())
    read = Estimate(**json.loads(written))
    assert read == Estimate(2.0, details={"flag": True, "3": 0.5, "list": [0, 1], "t": [None]})
