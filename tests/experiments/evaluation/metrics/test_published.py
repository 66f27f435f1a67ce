"""Numbers of published packages on the same features (tests/golden/README.md)."""

import numpy as np
import pytest

from benchmarks.metric_twins import ours

# Those of float64 sums of 10⁵ terms at most, which cancel to a hundredth; fractions are float32's.
_FLOAT64 = 1e-10
_OF_FLOAT32 = ("precision", "recall")


@pytest.fixture(scope="module")
def numbers(golden):
    return ours(golden("metrics"))


@pytest.mark.parametrize(
    "name",
    [
        *("fd", "kd", "kd_subsets", "kd_subsets_deviation", "is", "is_deviation"),
        *("precision", "recall", "precision_k5", "recall_k5", "density_k5", "coverage_k5"),
    ],
)
def test_equal(golden, numbers, name):
    """By torch-fidelity, clean-fid and prdc."""
    theirs = {key: value for key, value in golden("metrics").items() if key.startswith(f"{name}/")}
    assert theirs
    for package, value in theirs.items():
        rtol = 1e-6 if name in _OF_FLOAT32 else _FLOAT64
        np.testing.assert_allclose(numbers[name], value, rtol=rtol, err_msg=package)
