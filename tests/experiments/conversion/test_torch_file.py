"""Checkpoint files of PyTorch themselves; run where it is installed."""

import os
import pickle
import zipfile

import numpy as np
import pytest

from experiments.conversion.score_sde.torch_file import load
from experiments.errors import UserError
from tests.experiments.commands.test_bad_input import refused
from tests.experiments.conversion.published import checkpoint, listed
from tests.experiments.conversion.test_import import FLAT

torch = pytest.importorskip("torch")


class Attack:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def content_of(options):
    content = checkpoint(listed(options, channels=1))
    content["model"] = {k: torch.from_numpy(v) for k, v in content["model"].items()}
    content["ema"]["shadow_params"] = [torch.from_numpy(v) for v in content["ema"]["shadow_params"]]
    # As it is with warm-up.
    return content | {"optimizer": {"param_groups": [{"lr": np.float64(2e-4)}]}}


def older(path):
    """The file as NumPy 1 names its scalars."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    path.unlink()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, data in entries.items():
            file.writestr(name, data.replace(b"numpy._core.", b"numpy.core."))
    return path


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_tensors_and_numpy_numbers_are_read(options, tmp_path):
    path = saved(tmp_path / "a.pth", content_of(FLAT), **options)
    content = load(path)
    want = checkpoint(listed(FLAT, channels=1))
    for name, value in want["model"].items():
        np.testing.assert_array_equal(content["model"][name], value.astype(np.float32))
    for got, value in zip(
        content["ema"]["shadow_params"], want["ema"]["shadow_params"], strict=True
    ):
        np.testing.assert_array_equal(got, value)
        assert isinstance(got, np.ndarray)
    assert content["optimizer"]["param_groups"][0]["lr"] == 2e-4


def test_files_of_numpy_1_are_read(tmp_path):
    path = older(saved(tmp_path / "a.pth", content_of(FLAT)))
    assert load(path)["optimizer"]["param_groups"][0]["lr"] == 2e-4


def test_half_precision_becomes_float32(tmp_path):
    path = saved(tmp_path / "a.pth", {"a": torch.tensor([0.5, 3.0], dtype=torch.bfloat16)})
    np.testing.assert_array_equal(load(path)["a"], np.array([0.5, 3.0], np.float32))


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_of_a_file_is_run(zipped, tmp_path, capsys):
    content = content_of(FLAT) | {"step": Attack(tmp_path / "attacked")}
    path = saved(tmp_path / "a.pth", content, _use_new_zipfile_serialization=zipped)
    command = ["import", "--from=score_sde_pytorch", str(path), "--config=cifar10:vp"]
    line = refused([*command, f"--workdir={tmp_path / 'run'}"], capsys)
    assert "a.pth: is damaged, or no checkpoint" in line
    assert "system" in line
    assert "weights_only" not in line
    assert not (tmp_path / "attacked").exists()
    assert not (tmp_path / "run").exists()
    pickle.loads(pickle.dumps(Attack(tmp_path / "attacked")))  # it would have
    assert (tmp_path / "attacked").exists()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_is_damaged(part, tmp_path):
    path = saved(tmp_path / "a.pth", content_of(FLAT))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(UserError, match="is damaged") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.pth").write_text("not a checkpoint", encoding="utf-8")
    for path, words in (("a.pth", "is damaged"), ("b.pth", "no such file")):
        with pytest.raises(UserError, match=words):
            load(tmp_path / path)
