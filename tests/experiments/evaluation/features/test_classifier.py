"""The classifier that the data set itself trains: it learns, is kept, and says how good it is."""

import numpy as np
import pytest

from experiments.data import Split
from experiments.errors import UserError
from experiments.evaluation.features import build_features

SPEC = "classifier:width=4,dim=8,num_steps=60"
RNG = np.random.default_rng(0)


def halves(num: int) -> Split:
    """Noise whose left or right half is brighter: the classes."""
    labels = RNG.integers(0, 2, num).astype(np.int32)
    values = RNG.integers(0, 100, (num, 6, 6, 1))
    values[labels == 0, :, :3] += 100
    values[labels == 1, :, 3:] += 100
    return Split.of(values.astype(np.uint8), labels, levels=256)


TRAIN, TEST = halves(300), halves(90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def extract(folder):
    return build_features(SPEC).open(TRAIN, folder, 0, TEST)


def test_it_learns_and_says_how_well(extract):
    found = extract(TEST.values)
    assert found.features.shape == (90, extract.dim) == (90, 8)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-6)
    right = np.mean(found.probabilities.argmax(axis=1) == TEST.labels)
    assert extract.protocol["test_accuracy"] == right > 0.95
    # Beyond the mean of two classes whose features are alike.
    distance = np.diff([found.features[TEST.labels == k].mean(0) for k in (0, 1)], axis=0)
    assert np.linalg.norm(distance) > 2 * found.features[TEST.labels == 0].std(axis=0).max()


def test_an_examples_features_do_not_depend_on_how_many_there_are(extract):
    one, many = extract(TEST.values[:1]), extract(np.concatenate([TEST.values] * 2))
    np.testing.assert_allclose(many.features[0], one.features[0], rtol=1e-6)
    np.testing.assert_allclose(many.probabilities[90], one.probabilities[0], rtol=1e-6)


def test_it_follows_from_data_and_seed_and_is_kept(extract, folder, tmp_path):
    def digest(place, seed, data=TRAIN):
        return build_features(SPEC).open(data, place, seed).protocol["digest"]

    assert len(list(folder.iterdir())) == 1
    digests = [digest(tmp_path, 0), digest(tmp_path, 1), digest(tmp_path, 0, TEST)]
    assert digests[0] == digest(folder, 0) == extract.protocol["digest"]
    assert len({*digests}) == 3 == len(list(tmp_path.iterdir()))
    assert len(list(folder.iterdir())) == 1


def test_points_are_classified_too(tmp_path):
    labels = np.arange(200, dtype=np.int32) % 3
    points = RNG.normal(size=(200, 2)) + 9 * np.eye(3)[labels][:, :2]
    data = Split.of(points.astype(np.float32), labels)
    extract = build_features(SPEC).open(data, tmp_path, 0, data)
    assert extract.protocol["test_accuracy"] > 0.98
    assert extract.num_classes == 3


def test_data_without_classes_are_refused(tmp_path):
    data = Split.of(TRAIN.values, levels=256)
    with pytest.raises(UserError, match="without classes, takes labelled data; or pixels"):
        build_features("classifier").open(data, tmp_path, 0)
