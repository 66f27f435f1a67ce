"""What pictures show: continuous images as images, points of any dimension by a plot that suits."""

import dataclasses

import numpy as np
import pytest

from experiments.data import ContinuousCodec, Split
from experiments.data.split import Reader
from experiments.display.pictures import image_grid, plot, principal
from experiments.errors import UserError
from experiments.sampling.files import picture

BLUE = (0x1F, 0x77, 0xB4)  # matplotlib's C0


def continuous(values: np.ndarray):
    """A data set of continuous examples [N, ...]."""
    return Split.of(values)


def blue(drawn: np.ndarray) -> np.ndarray:
    """Where the lower half of a picture, below its legend, is in the colour of samples, [N, 2]."""
    found = np.argwhere(np.all(drawn == BLUE, axis=-1))
    return found[found[:, 0] > len(drawn) // 2]


def test_continuous_images_are_images():
    """Black where the data are least, white where most, grey in between, clipped beyond."""
    data = np.array([[-3.0, 1.0]], np.float32).reshape(1, 1, 2, 1)
    values = np.array([[-3.0, 1.0], [-1.0, 9.0]], np.float32).reshape(1, 2, 2, 1)
    grey = ContinuousCodec().brightness(values, data)
    np.testing.assert_array_equal(grey[0, ..., 0], [[0, 255], [128, 255]])
    drawn = picture(values, continuous(np.broadcast_to(data, (4, 1, 2, 1))))
    np.testing.assert_array_equal(drawn, image_grid(grey))
    # No contrast, no NaN.
    np.testing.assert_array_equal(ContinuousCodec().brightness(np.ones(3)), 0)


def test_images_of_a_class_have_a_row():
    """Four of each class or more, as many of one as of another; else they stand as they come."""
    labels = np.array([1, 0, 1, 1, 0, 0, 1, 0, 1])
    values = np.arange(9, dtype=np.float32).reshape(9, 1, 1, 1)
    data = continuous(values[[0, 8] * 5])  # whose first are black and white
    grey = ContinuousCodec().brightness(values)
    rows = np.concatenate([np.flatnonzero(labels == c)[:4] for c in (0, 1)])
    drawn = picture(values, data, labels)
    np.testing.assert_array_equal(drawn, image_grid(grey[rows], columns=4))
    np.testing.assert_array_equal(picture(values, data, labels * 0), image_grid(grey))
    np.testing.assert_array_equal(picture(values, data, np.arange(9)), image_grid(grey))


class Gone(Reader):
    """Of a file that was removed."""

    def __len__(self):
        return 6

    def read(self, rows, places=None):
        raise UserError("data.source: no file")


def test_samples_of_data_that_are_not_here_are_drawn_alone():
    values = np.random.default_rng(2).normal(size=(6, 2)).astype(np.float32)
    data = dataclasses.replace(continuous(values), reader=Gone())
    np.testing.assert_array_equal(picture(values, data), plot(values))


def test_numbers_are_a_histogram():
    """Of samples in the left eighth of the data's range, nothing blue lies to the right."""
    data = np.linspace(0, 1, 500, dtype=np.float32)[:, None]
    drawn = picture(data / 8, continuous(data))
    columns = blue(drawn)[:, 1]
    assert len(columns)
    # The axes begin within a fifth of the width, for their ticks.
    assert columns.max() < (0.2 + 0.25) * drawn.shape[1]


def test_points_of_many_dimensions_lie_along_their_two_largest_directions():
    """Of independent coordinates those are the two with most variance."""
    scales = np.array([0.1, 3.0, 0.2, 2.0, 0.0])
    points = scales * np.random.default_rng(0).normal(size=(4000, 5)) + 7
    mean, directions, shares = principal(points)
    # Standard errors of a mean, 3/√4000, and of a direction and a share, about 1/√4000.
    np.testing.assert_allclose(mean, 7, atol=4 * 3 / 4000**0.5)
    np.testing.assert_allclose(np.abs(directions.T[:, [1, 3]]), np.eye(2), atol=4 / 4000**0.5)
    np.testing.assert_allclose(shares, [9 / 13.05, 4 / 13.05], atol=4 / 4000**0.5)
    assert plot(points).shape == plot(points[:, :2]).shape
    assert np.any(plot(points) != plot(points[:, :2]))


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (7, 5), (4, 4, 9), (4, 4, 3)])
@pytest.mark.parametrize("num", [1, 3])
def test_every_shape_can_be_drawn(shape, num):
    values = np.random.default_rng(1).normal(size=(num, *shape)).astype(np.float32)
    assert picture(values, continuous(values)).dtype == np.uint8
