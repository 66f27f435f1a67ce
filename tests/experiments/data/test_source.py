"""Sources by name: a user's own, what a bad request is told, and what importing costs."""

import subprocess
import sys

import numpy as np
import pytest

from experiments import data
from experiments.errors import UserError
from tests.experiments.data.sources import numbered, refused


def own(request: data.Request) -> data.Split:
    """A source as a user would write one."""
    del request
    return data.Split.of(numbered(2, 1, 1, 1), levels=256)


class Numbers(data.Reader):
    """Examples that are made when they are read."""

    def __len__(self):
        return 70

    def read(self, rows, places=None):
        return data.Batch.of(rows[:, None].astype(np.float32), (rows % 3).astype(np.int32))


def numbers(request: data.Request) -> data.Split:
    """A source of more than fits into memory, as a user would write one."""
    del request
    return data.Split(reader=Numbers(), shape=(1,), codec=data.ContinuousCodec(), num_classes=3)


def test_a_source_may_be_a_users_own():
    split = data.load(f"{__name__}:own", "train")
    assert (split.num, split.shape, split.num_classes) == (2, (1, 1, 1), 0)
    assert split.codec == data.PixelCodec(256)
    assert (split.source, split.name) == (f"{__name__}:own", "train")


def test_a_users_own_source_may_read_its_examples_when_they_are_asked_for():
    split = data.open_split(f"{__name__}:numbers", "test")
    with data.Stream(split, seed=0, batch_size=16, start=3) as stream:
        batch = next(stream)
    rows = data.rows_of_step(0, 70, 16, 3)
    np.testing.assert_array_equal(batch.values, rows[:, None])
    np.testing.assert_array_equal(batch.labels, rows % 3)
    np.testing.assert_array_equal(split.load().values, np.arange(70)[:, None])
    assert split.nbytes == 4 * 70


def test_what_a_users_reader_raises_is_one_line_with_its_name(monkeypatch):
    def read(self, rows, places=None):
        raise KeyError("x")

    monkeypatch.setattr(Numbers, "read", read)
    split = data.open_split(f"{__name__}:numbers", "train")
    for reading in (split.load, lambda: split.read(np.arange(2))):
        with pytest.raises(UserError, match=f"^data.source: {__name__}:numbers: KeyError: 'x'$"):
            reading()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (
            "digit",
            {},
            r"data.source: unknown data source 'digit'; did you mean 'digits'\? Known: .*toy",
        ),
        (
            "nzp:a.npz",
            {},
            r"data.source: unknown data source 'nzp'; did you mean 'npz'\? Known: .*No mod",
        ),
        ("", {}, "data.source: unknown data source ''"),
        (__file__, {}, f"data.source: got '{__file__}', takes npz:"),
        ("/", {}, "data.source: got '/', takes folder:/ for what is in it"),
        ("digits", {"split": "tset"}, "unknown split 'tset'; did you mean 'test'"),
        ("digits", {"image_size": 16}, "data.image_size: got 16; .* takes 8 or None"),
        ("digits", {"image_size": 0}, "data.image_size: got 0; takes a positive integer"),
        ("digits", {"image_size": -3}, "data.image_size: got -3; takes a positive integer"),
        ("digits", {"image_size": 8.0}, "data.image_size: got 8.0; takes a positive integer"),
        ("digits", {"holdout": 1.0}, "data.holdout: got 1.0; takes a fraction"),
        ("digits", {"holdout": 0}, "data.holdout: got 0; takes a fraction"),
        ("digits:x", {}, "data.source: got 'digits:x'; digits takes nothing"),
        (
            "toy:moon",
            {},
            r"data.source: unknown toy data set 'moon'; did you mean 'moons'\? Known:",
        ),
        ("toy:", {}, "data.source: unknown toy data set ''"),
        ("toy:moons", {"image_size": 8}, "data.image_size: got 8; points take None"),
        ("npz:", {}, "data.source: got 'npz:', which names no file"),
        ("npz:/no/such.npz", {}, "data.source: no file '/no/such.npz'"),
        ("folder:", {}, "data.source: no folder ''; takes folder:DIR"),
        ("folder:/no/such", {}, "data.source: no folder '/no/such'"),
        ("tfds:", {}, r"data.source: got 'tfds:'; takes tfds:NAME\[:config\]\[/version\]"),
        ("tfds:a:b:c", {}, "data.source: got 'tfds:a:b:c'; takes tfds:NAME"),
    ],
)
def test_what_a_bad_request_is_told(source, options, message):
    refused(source, message, **options)


def test_importing_is_cheap():
    script = "import experiments.data, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    heavy = {"tensorflow_datasets", "sklearn", "PIL", "tqdm", "array_record"}
    assert not heavy & set(loaded.stdout.split())
