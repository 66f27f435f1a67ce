"""Features without a network: the values, their principal components, and a user's own."""

import dataclasses

import numpy as np
import pytest

from experiments.data import Split
from experiments.errors import UserError
from experiments.evaluation.features import Extracted, Features, build_features
from sde_lib import ranged

RNG = np.random.default_rng(0)
IMAGES = Split.of(RNG.integers(0, 17, (40, 3, 2, 1), np.uint8), levels=17)
# Far wider along (3, 4)/5 than across it.
ALONG = np.array([0.6, 0.8])
POINTS = Split.of((RNG.normal(size=(500, 1)) * 10 * ALONG + [5, -7]).astype(np.float32))


def mean_rows(values, *, power: float = 1.0):
    return values.reshape(len(values), -1).mean(1, keepdims=True) ** power


def flat(values):
    return values.reshape(-1)


def growing(values):
    return np.zeros((len(values), len(values)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shifted(Features):
    """Pixels, and a number added."""

    by: float = ranged(1.0, low=0)

    def open(self, train, folder, seed, test=None):
        flat = build_features("pixels").open(train, folder, seed)
        return lambda values: Extracted(flat(values).features + self.by)


def own(name: str) -> str:
    return f"{__name__}:{name}"


def test_pixels_are_fractions_of_the_last_level(tmp_path):
    extract = build_features("pixels").open(IMAGES, tmp_path, seed=0)
    given = np.arange(12, dtype=np.uint8).reshape(2, 3, 2, 1)
    np.testing.assert_array_equal(
        extract(given).features, np.arange(12, dtype=np.float32).reshape(2, 6) / 16
    )
    assert (extract.dim, extract.num_classes, extract(given).probabilities) == (6, 0, None)
    points = build_features("pixels").open(POINTS, tmp_path, seed=0)(POINTS.values)
    np.testing.assert_array_equal(points.features, POINTS.values)


def test_principal_components_are_along_the_axis_and_kept(tmp_path):
    features = build_features("pca:dim=1")
    extract = features.open(POINTS, tmp_path, seed=0)
    mean = POINTS.values.mean(0)
    given = mean + np.array([[2.0, 0], [0, 2.0]])
    # Twice the axis's numbers, in one of its two senses; of numbers near 10 in float32.
    found = extract(given.astype(np.float32)).features[:, 0]
    np.testing.assert_allclose(found * np.sign(found[0]), 2 * ALONG, atol=1e-5)
    (file,) = tmp_path.iterdir()
    np.savez(file, mean=np.zeros(2, np.float32), axes=np.ones((1, 2), np.float32))
    assert features.open(POINTS, tmp_path, seed=0)(np.ones((1, 2), np.float32)).features == 2
    others = Split.of(POINTS.values + 1)
    assert features.open(others, tmp_path, seed=0).protocol == {
        **extract.protocol,
        "digest": features.open(others, tmp_path / "again", seed=0).protocol["digest"],
    }
    file.write_bytes(b"PK\3\4 cut")
    with pytest.raises(UserError, match="is damaged"):
        features.open(POINTS, tmp_path, seed=0)
    with pytest.raises(UserError, match=r"npz: cannot be read or written \(Not a directory"):
        features.open(POINTS, file / "below", seed=0)


def test_a_function_of_ones_own(tmp_path):
    extract = build_features(f"{own('mean_rows')}:power=2").open(IMAGES, tmp_path, seed=0)
    expected = IMAGES.values.astype(float).reshape(40, -1).mean(1) ** 2
    np.testing.assert_allclose(extract(IMAGES.values).features[:, 0], expected, rtol=1e-6)
    assert extract.protocol["name"] == own("mean_rows")
    assert extract.protocol["fields"] == {"power": 2}
    assert len(extract.protocol["source"]) == 12


def test_a_class_of_ones_own(tmp_path):
    extract = build_features(f"{own('Shifted')}:by=2").open(POINTS, tmp_path, seed=0)
    np.testing.assert_array_equal(extract(POINTS.values).features, POINTS.values + 2)


@pytest.mark.parametrize(
    ("spec", "data", "says"),
    [
        ("pixel", IMAGES, "--features: unknown features 'pixel'; did you mean 'pixels'?"),
        ("pixels:dim=3", IMAGES, "--features: pixels: unknown field 'dim'"),
        ("pca:dim=0", IMAGES, "--features: pca: dim: got 0, takes an integer ≥ 1"),
        ("pca:dim=7", IMAGES, "pca: dim: got 7, takes at most 6, of 40 examples of 6 numbers"),
        (own("nothing"), IMAGES, "unknown name 'nothing'"),
        (own("mean_rows") + ":powr=2", IMAGES, "unknown field 'powr'; did you mean 'power'?"),
        (own("mean_rows") + ":power=a", IMAGES, "power: got 'a', takes a finite number"),
        (own("Shifted") + ":by=-1", IMAGES, "Shifted: by: got -1, takes a number ≥ 0"),
        (own("IMAGES"), IMAGES, "takes a function"),
        ("builtins:abs", POINTS, "builtins:abs: got what has no source, takes one of a Python"),
        ("math:hypot", POINTS, "--features: math:hypot: TypeError: "),
        ("math:hypot:x=1", POINTS, "--features: math:hypot: unknown field 'x'"),
        (own("flat"), IMAGES, r"flat: returned shape \(12,\), takes \(2, D\) of 2 examples"),
        (own("growing"), IMAGES, "growing: returned 40 numbers an example, takes 2"),
        ("pixels", POINTS, r"samples: got examples of shape \(3, 2, 1\), takes \(2,\)"),
    ],
)
def test_what_is_refused(spec, data, says, tmp_path):
    with pytest.raises(UserError, match=says):
        build_features(spec).open(data, tmp_path, seed=0)(IMAGES.values)
