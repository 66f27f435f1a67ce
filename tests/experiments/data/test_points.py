"""Points of an `.npz` file: continuous data, and what is said about bad ones."""

import numpy as np
import pytest

from experiments import data
from tests.experiments.data.conditions import IMAGES, refused
from tests.experiments.data.sources import save
from tests.experiments.data.streams import noise


@pytest.mark.parametrize("shape", [(10, 3), (10, 4, 5), (10, 4, 4, 1)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_points_are_continuous_data(tmp_path, shape, dtype):
    points = np.random.default_rng(0).normal(size=shape).astype(dtype)
    train = data.load(save(tmp_path, points=points), "train")
    assert train.codec == data.ContinuousCodec()
    assert (train.shape, train.values.dtype) == (shape[1:], np.float32)
    # NumPy's RandomState(0).permutation(10), as of images.
    np.testing.assert_array_equal(
        train.values, points.astype(np.float32)[[2, 8, 4, 9, 1, 6, 7, 3, 0]]
    )
    test = data.load(save(tmp_path, points=points, test_points=points[:2]), "test")
    np.testing.assert_array_equal(test.values, points[:2].astype(np.float32))


def test_samples_of_a_conditional_model_are_data(tmp_path, capsys):
    """As `scoresde sample` writes them: points, and the vectors that they are conditioned on."""
    samples = {"points": noise(5, 2).astype(np.float32), "cond": np.arange(5.0)[:, None]}
    source = save(tmp_path, **samples, evaluations=np.arange(5))
    split = data.load(source, "all", cond="cond")
    np.testing.assert_array_equal(split.values, samples["points"])
    raw = split.reader.load().vectors * split.cond_std + split.cond_mean
    np.testing.assert_allclose(raw, samples["cond"], atol=1e-6)
    assert "left out evaluations; takes images" in capsys.readouterr().err


POINTS = np.ones((6, 2))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": POINTS, "images": IMAGES}, "has keys of images and of points; takes one"),
        ({"points": POINTS, "test_images": IMAGES}, "has keys of images and of points; takes one"),
        ({"test_points": POINTS}, "no key 'points'; its keys: test_points"),
        ({"points": POINTS, "levels": 4}, "has key 'levels', which images take, and points do not"),
        ({"points": IMAGES}, "key 'points' is uint8; takes floats"),
        ({"points": POINTS[0]}, r"key 'points' has shape \(2,\); takes \[N, D\] or more axes"),
        ({"points": POINTS[:, :0]}, r"key 'points' has shape \(6, 0\); takes"),
        ({"points": POINTS * np.inf}, "key 'points' has the value inf; takes what is finite"),
        ({"points": POINTS * 1e99}, r"key 'points' has the value 1e\+99; takes what is finite"),
        (
            {"points": POINTS, "test_points": POINTS[:, :1]},
            r"key 'test_points' has points of shape \(1,\); takes that of key 'points', \(2,\)",
        ),
        ({"points": POINTS, "labels": [0] * 5}, r"key 'labels' has shape \(5,\)"),
    ],
)
def test_what_is_said_about_bad_points(tmp_path, arrays, message):
    refused(f"{tmp_path}/set.npz: {message}", save(tmp_path, **arrays))


def test_points_are_not_resized_and_not_shared_out(tmp_path):
    source = save(tmp_path, points=POINTS)
    refused("data.image_size: got 8; .* has points, which take None", source, image_size=8)
    message = f"{tmp_path}/set.npz: has key 'points'; shards take images, labels, levels"
    refused(message, f"npz:{tmp_path}")
