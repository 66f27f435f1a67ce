"""Files of PyTorch are read without it, and what else is in them is not run."""

import io
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.runtime.torch_file import load, named

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"


@pytest.mark.parametrize("name", ["tensors", "tensors_legacy"])
def test_tensors_of_both_layouts(name):
    content = load(GOLDEN / f"{name}.pth")
    found = named(content)
    whole = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    expected = {
        "model.float": whole,
        "model.columns": whole.T[1:3],
        "model.half": np.array([1.5, -2.0], np.float16),
        "model.bfloat16": np.array([1.5, -2.0]),
        "model.long": np.array(7),
        "model.parameter": np.array([[1.0, 2.0]], np.float32),
        "model.empty": np.zeros((0, 3), np.float32),
    }
    assert set(found) == set(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key].astype(array.dtype), array, strict=True)
    np.testing.assert_array_equal(content["shadow"], whole[:2])
    assert content["optimizer"] == {"param_groups": [{"lr": 2e-4, "betas": [0.9, 0.999]}]}
    assert (content["epoch"], content["words"]) == (3, ["a", None])


class Calls:
    """Pickled, it is a call of a function when it is read."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return file.getvalue()


@pytest.mark.parametrize("wrap", [bytes, zipped])
@pytest.mark.parametrize("function", [os.mkdir, exec, eval])
def test_nothing_is_run(wrap, function, tmp_path):
    made = tmp_path / "made"
    argument = str(made) if function is os.mkdir else f"__import__('os').mkdir({str(made)!r})"
    file = tmp_path / "evil.pth"
    file.write_bytes(wrap(pickle.dumps({"a": Calls(function, argument)})))
    with pytest.raises(
        UserError,
        match=rf"no file of tensors and numbers alone \(it calls \w+\.{function.__name__}",
    ):
        load(file)
    assert not made.exists()


def test_tensors_stay_within_their_storage(tmp_path):
    """A file that is cut, or strides beyond what there is."""
    whole = (GOLDEN / "tensors_legacy.pth").read_bytes()
    file = tmp_path / "cut.pth"
    file.write_bytes(whole[:-30])
    with pytest.raises(UserError, match="is damaged"):
        load(file)
    # The strides (1, 4) of the two columns, 4 numbers into the next row: 5 reach beyond.
    strides = b"K\x01K\x04\x86"
    assert whole.count(strides) == 1
    file.write_bytes(whole.replace(strides, b"K\x01K\x05\x86"))
    with pytest.raises(UserError, match="a tensor reaches beyond its storage"):
        load(file)


def test_numbers_of_numpy_1(tmp_path):
    """Which called the module of its scalars by another name."""
    file = tmp_path / "a.pth"
    with zipfile.ZipFile(GOLDEN / "tensors.pth") as whole, zipfile.ZipFile(file, "w") as older:
        for name in whole.namelist():
            older.writestr(name, whole.read(name).replace(b"numpy._core.", b"numpy.core."))
    assert load(file)["optimizer"]["param_groups"][0]["lr"] == 2e-4


def test_a_number_is_of_numbers(tmp_path):
    """Not a scalar of objects, which could be any."""
    file = tmp_path / "a.pth"
    file.write_bytes(zipped(pickle.dumps({"a": np.datetime64("2026-01-01")}, protocol=2)))
    with pytest.raises(UserError, match=r"is damaged.*datetime64"):
        load(file)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_is_damaged(part, tmp_path):
    whole, file = (GOLDEN / "tensors.pth").read_bytes(), tmp_path / "a.pth"
    file.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(UserError, match="is damaged") as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_there_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.pth: no such file"):
        load(tmp_path / "a.pth")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


class View(pickle.Pickler):
    """Writes None as a storage that is a view of another."""

    def persistent_id(self, obj):
        return ("storage", 4, "0", "cpu", 4, ("0", 0, 4)) if obj is None else None


def test_a_pickle_of_something_else(tmp_path):
    file, content = tmp_path / "a.pth", io.BytesIO()
    View(content, protocol=2).dump([None])
    for written, why in (
        (zipped(content.getvalue()), "storages that are views"),
        (pickle.dumps([1, 2]), "does not begin as one of PyTorch"),
    ):
        file.write_bytes(written)
        with pytest.raises(UserError, match=why):
            load(file)
