"""Files of PyTorch are read without it, and what else is in them is not run."""

import io
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.evaluation.features.torch_tensors import read_torch

GOLDEN = pathlib.Path(__file__).parents[3] / "golden"


@pytest.mark.parametrize("name", ["tensors", "tensors_legacy"])
def test_tensors_of_both_layouts(name):
    found = read_torch(GOLDEN / f"{name}.pth")
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
        UserError, match=rf"no file of tensors alone \(it calls \w+\.{function.__name__}"
    ):
        read_torch(file)
    assert not made.exists()


def test_tensors_stay_within_their_storage(tmp_path):
    """A file that is cut, or strides beyond what there is."""
    whole = (GOLDEN / "tensors_legacy.pth").read_bytes()
    file = tmp_path / "cut.pth"
    file.write_bytes(whole[:-30])
    with pytest.raises(UserError, match="is damaged"):
        read_torch(file)
    # The strides (1, 4) of the two columns, 4 numbers into the next row: 5 reach beyond.
    strides = b"K\x01K\x04\x86"
    assert whole.count(strides) == 1
    file.write_bytes(whole.replace(strides, b"K\x01K\x05\x86"))
    with pytest.raises(UserError, match="a tensor reaches beyond its storage"):
        read_torch(file)
