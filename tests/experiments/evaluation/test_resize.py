"""Resizes by name, against the packages that made them customary."""

import numpy as np
import pytest

from experiments.evaluation.resize import resizes


@pytest.mark.parametrize("side", [11, 3])
@pytest.mark.parametrize("name", ["tf1", "torch", "clean", "pil"])
def test_a_resize_is_the_originals(golden, name, side):
    """Larger and smaller; of another aspect, so that rows and columns are not confused."""
    known = golden("features")
    image = known["resize/image"]
    made = resizes[name](np.stack([image, image[::-1]]), side)
    assert made.shape == (2, side, side, 3)
    assert made.dtype == np.float32
    # A few ulps of 255; the places of pixels in float32, a few ulps of 7, times 255 a pixel.
    np.testing.assert_allclose(made[0], known[f"resize/{name}/{side}"], atol=1e-3)


def test_what_clean_takes_of_a_steep_edge_stays_in_range():
    edge = np.zeros((1, 4, 4, 3), np.uint8)
    edge[:, :, 2:] = 255
    made = np.asarray(resizes["clean"](edge, 16))
    assert made.min() == 0
    assert made.max() == 255
