"""Vectors that examples are conditioned on: of columns of an `.npz`, in streams, in closed form."""

import itertools
import math
import pickle

import numpy as np
import pytest
from scipy import integrate, stats

from experiments import data
from experiments.builders.model import conditioned
from experiments.config_schema.flags import load_experiment
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.sampling.conditions import condition_of
from tests.experiments.data.conditions import IMAGES, NAMES, model_of, refused
from tests.experiments.data.sources import numbered, save
from tests.experiments.data.streams import BATCH, take

# --- vectors of an .npz -------------------------------------------------------------------------


def write_vectors(path, kind: str, vectors: np.ndarray) -> str:
    """Points or images that show their number, with a column `z`, as a source."""
    num = len(vectors)
    if kind == "points":
        return save(path, points=np.arange(num, dtype=float)[:, None], z=vectors)
    if kind == "images":
        return save(path, images=numbered(num, 2, 2), z=vectors, labels=np.zeros(num, int))
    for k, rows in enumerate(np.array_split(np.arange(num), 3)):
        np.savez(path / f"{k}.npz", images=numbered(num, 2, 2)[rows], z=vectors[rows])
    return f"npz:{path}"


@pytest.mark.parametrize("kind", ["points", "images", "shards"])
@pytest.mark.parametrize("shape", [(30,), (30, 3)])
def test_vectors_are_standardised_by_the_rows_that_are_trained_on(tmp_path, kind, shape):
    vectors = np.random.default_rng(0).normal(1e6, 5, size=shape)
    source, columns = write_vectors(tmp_path, kind, vectors), vectors.reshape(30, -1)
    options = {"cond": "z", "holdout": 0.5}
    train, test = (data.load(source, split, **options) for split in ("train", "test"))
    rows = [split.values.reshape(split.num, -1)[:, 0].astype(int) for split in (train, test)]
    # Of the 15 rows of train, whose moments differ from those of all by tenths of a deviation.
    mean, std = columns[rows[0]].mean(0), columns[rows[0]].std(0)
    for split, own_rows in zip((train, test), rows, strict=True):
        np.testing.assert_allclose(split.cond_mean, mean)
        np.testing.assert_allclose(split.cond_std, std)
        given = split.reader.load()
        assert (given.labels, split.num_classes, split.cond_dim) == (None, 0, columns.shape[1])
        assert given.vectors.dtype == np.float32
        expected = (columns[own_rows] - mean) / std
        np.testing.assert_allclose(given.vectors, expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(split.standardised(columns[own_rows]), given.vectors)
    whole = data.load(source, "all", **options)
    assert (whole.num, whole.cond_mean) == (30, train.cond_mean)


def test_a_test_split_of_its_own_has_vectors_of_its_own(tmp_path):
    keys = {"z": np.arange(6) % 2, "test_z": np.array([5, 1])}
    source = save(tmp_path, images=IMAGES, test_images=IMAGES[:2], **keys)
    test = data.load(source, "test", cond="z")
    np.testing.assert_array_equal(test.reader.load().vectors, [[9], [1]])
    assert (test.cond_mean, test.cond_std) == ((0.5,), (0.5,))
    whole = data.load(source, "all", cond="z").reader.load().vectors
    np.testing.assert_array_equal(whole[:, 0], [-1, 1, -1, 1, -1, 1, 9, 1])


def test_a_constant_has_a_deviation_of_one(tmp_path):
    source = save(tmp_path, images=IMAGES, z=np.full((6, 1), 0.1))
    split = data.load(source, "train", cond="z")
    assert (split.cond_mean, split.cond_std) == ((pytest.approx(0.1),), (1.0,))
    np.testing.assert_allclose(split.reader.load().vectors, 0, atol=1e-12)


def test_other_data_are_standardised_as_those_that_a_model_was_trained_on(tmp_path):
    ours, theirs = np.arange(8.0), np.arange(8.0) * 100 - 3
    (tmp_path / "theirs").mkdir()
    one = data.load(write_vectors(tmp_path, "images", ours), "train", cond="z")
    other = data.open_split(
        write_vectors(tmp_path / "theirs", "images", theirs), "train", cond="z"
    ).standardised_as(one)
    expected = one.standardised(theirs[other.values[:, 0, 0, 0], None])
    # Half an ulp of theirs, below 2, in our deviations, of which one of theirs is 100.
    atol = 2.0**-24 * 2 * 100
    np.testing.assert_allclose(other.reader.load().vectors, expected, rtol=1e-6, atol=atol)
    assert (other.cond_mean, other.cond_std) == (one.cond_mean, one.cond_std)
    np.testing.assert_array_equal(
        one.standardised_as(one).reader.load().vectors, one.reader.load().vectors
    )


def test_a_model_measures_other_data_in_its_own_units(tmp_path):
    (tmp_path / "theirs").mkdir()
    model = model_of(write_vectors(tmp_path, "points", np.arange(8.0)), "--config.data.cond=z")
    source = write_vectors(tmp_path / "theirs", "points", np.arange(8.0) + 3)
    given = model.examples(source, None).reader.load()
    np.testing.assert_allclose(
        given.vectors, model.train.standardised(np.arange(8.0)[:, None] + 3), atol=1e-6
    )
    wide = write_vectors(tmp_path / "theirs", "points", np.ones((8, 2)))
    with pytest.raises(UserError, match=r"^--data: .* has vectors of 2 numbers, takes 1, the mod"):
        model.examples(wide, None)


def test_a_vector_far_from_zero_keeps_its_digits(tmp_path):
    """Seconds since 1970, say: float32 knows them to 128."""
    seconds = 1.6e9 + np.arange(8.0)
    source = write_vectors(tmp_path, "points", seconds)
    model = model_of(source, "--config.data.cond=z")
    train = model.train.load()
    first = int(train.values[0, 0])
    cond = condition_of(model.experiment, train, 2, vector=[seconds[first]])
    np.testing.assert_array_equal(cond.vector, train.reader.load().vectors[[0, 0]])
    assert len(np.unique(train.reader.load().vectors)) == 7


Z = {"images": IMAGES, "zoom": np.arange(6)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"zoo": np.arange(6)}, "unknown data.cond 'zoom'; did you mean 'zoo'"),
        ({}, "unknown data.cond 'zoom'.* Known: images"),
        ({"zoom": NAMES[[0] * 6]}, "key 'zoom' is <U3; takes numbers"),
        ({"zoom": np.arange(5)}, r"key 'zoom' has shape \(5,\); takes \(6,\) or \(6, D\)"),
        ({"zoom": np.ones((2, 6))}, r"key 'zoom' has shape \(2, 6\); takes \(6,\) or \(6, D\)"),
        ({"zoom": np.ones((6, 1, 1))}, r"key 'zoom' has shape \(6, 1, 1\)"),
        ({"zoom": np.ones((6, 0))}, r"key 'zoom' has shape \(6, 0\)"),
        ({"zoom": np.full(6, np.nan)}, "key 'zoom' has the value nan; takes what is finite"),
        ({"zoom": np.full(6, 1e300)}, r"key 'zoom' has the value 1e\+300; takes what is finite"),
    ],
)
@pytest.mark.parametrize("name", ["set.npz", "*.npz"])
def test_what_is_said_about_a_bad_column(tmp_path, arrays, message, name):
    np.savez(tmp_path / "set.npz", images=IMAGES, **arrays)
    refused(f"{tmp_path}/set.npz: {message}", f"npz:{tmp_path}/{name}", cond="zoom")


def test_what_is_said_about_columns_that_do_not_fit_together(tmp_path):
    source, path = save(tmp_path, **Z, test_images=IMAGES), tmp_path / "set.npz"
    refused(f"{path}: no key 'test_zoom'; takes it beside 'zoom'", source, cond="zoom")
    save(tmp_path, **Z, test_images=IMAGES, test_zoom=np.ones((6, 2)))
    refused(
        rf"{path}: key 'test_zoom' has vectors of shape \(2,\); takes that of key 'zoom', \(1,\)",
        source,
        cond="zoom",
    )
    save(tmp_path, **Z)
    np.savez(tmp_path / "wide.npz", images=IMAGES, zoom=np.ones((6, 2)))
    refused(
        f"{tmp_path}/wide.npz: has vectors of 2 numbers; takes 1, as {path} has",
        f"npz:{tmp_path}",
        cond="zoom",
    )


def own(request: data.Request) -> data.Split:
    """A user's own source, which has a column `z`."""
    vectors = {"vectors": np.ones((4, 1)), "cond_mean": (1.0,), "cond_std": (1.0,)}
    return data.Split.of(np.ones((4, 2), np.float32), **(vectors if request.cond == "z" else {}))


def test_a_column_of_a_source_that_has_none():
    for source in ("digits", "toy:moons", "toy:regression", "folder:/no", "tfds:no"):
        refused(f"data.cond: got 'z', takes None with {source}$", source, cond="z")
    source = f"{__name__}:own"
    assert data.load(source, "train", cond="z").cond_dim == 1
    refused(f"data.cond: got 'zz', takes None with {source}", source, cond="zz")


def test_a_column_is_of_a_conditional_model(tmp_path):
    source = save(tmp_path, points=np.ones((6, 2)), z=np.ones((6, 3)))
    fields = [f"--config.data.source={source}", "--config.data.cond=z"]
    experiment = load_experiment("toy2d", fields)
    train = split_of(experiment, "train")
    with pytest.raises(
        UserError, match=r"^data.cond: got 'z', takes None unless model.conditional"
    ):
        conditioned(experiment, train)
    experiment = load_experiment("toy2d", [*fields, "--config.model.conditional=True"])
    assert conditioned(experiment, train).model.cond_dim == 3


# --- a closed form ------------------------------------------------------------------------------


def test_points_of_a_regression_have_their_closed_form():
    """Eq. 1 of `toy`, written once more: residuals are standard normal, in every part of c."""
    split = data.load("toy:regression", "train")
    assert (split.cond_mean, split.cond_std) == ((0.0,), (1.0,))
    x, (c,) = split.values.astype(np.float64), split.reader.load().vectors.T.astype(np.float64)
    ends = (-math.sqrt(3), math.sqrt(3))
    uniform = stats.uniform(ends[0], ends[1] - ends[0])
    assert stats.kstest(c, uniform.cdf).pvalue > 1e-3

    def std(c):
        return 0.2 + 0.1 * c / math.sqrt(3)

    scale = math.sqrt(1 - uniform.expect(lambda c: std(c) ** 2))
    means = (lambda c: scale * c, lambda c: scale * math.sqrt(2) * np.sin(np.pi * c / math.sqrt(3)))
    for axis, mean in enumerate(means):
        residuals = (x[:, axis] - mean(c)) / std(c)
        for low, high in itertools.pairwise(np.linspace(*ends, 5)):
            part = residuals[(low <= c) & (c < high)]
            assert stats.kstest(part, "norm").pvalue > 1e-3
        # The moments of x over all c: 0, and as its part of a mean square of 1 over both axes.
        square = integrate.quad(lambda c, m=mean: (m(c) ** 2 + std(c) ** 2) * uniform.pdf(c), *ends)
        np.testing.assert_allclose(square[0], 1, rtol=1e-6)
        np.testing.assert_allclose((x[:, axis] ** 2).mean(), 1, atol=0.03)
    assert abs(np.corrcoef((x / std(c)[:, None]).T - [m(c) / std(c) for m in means])[0, 1]) < 0.03


# --- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["shards", "points"])
def test_vectors_follow_their_examples_through_a_stream(tmp_path, kind):
    """Threads, a later start, several parts, and the pickled copy that worker processes get."""
    vectors = np.random.default_rng(0).normal(size=(11, 2))
    source = write_vectors(tmp_path, kind, vectors)
    split = data.open_split(source, "train", cond="z")
    split = pickle.loads(pickle.dumps(split))
    batches = take(split, 7)
    for batch in batches:
        rows = batch.values.reshape(BATCH, -1)[:, 0].astype(int)
        np.testing.assert_array_equal(batch.vectors, split.standardised(vectors[rows]))
    later = take(split, 3, start=4, threads=1, prefetch=1)
    parts = [take(split, 7, part=part) for part in [(0, 1), (1, 4)]]
    joined = [data.Batch.join(pair) for pair in zip(*parts, strict=True)]
    for ours, theirs in [*zip(later, batches[4:], strict=True), *zip(joined, batches, strict=True)]:
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.vectors, theirs.vectors)
