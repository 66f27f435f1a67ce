"""`import --from=safetensors`: of other data than are there now, and what it refuses."""

import shutil

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file, save_file

from experiments.cli import main
from experiments.workdir.folder import Workdir
from tests.experiments.conftest import refused


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The file of a tiny trained toy. Tests must not change it."""
    file = tmp_path_factory.mktemp("exported") / "toy.safetensors"
    assert main(["export", f"--workdir={trained}", f"--output={file}"]) == 0
    return file


def test_damaged_safetensors_are_refused(exported, tmp_path, capsys):
    file, workdir = tmp_path / "toy.safetensors", tmp_path / "run"
    shutil.copy(exported, file)
    whole, command = file.read_bytes(), ["import", "--from=safetensors", str(file)]
    command.append(f"--workdir={workdir}")
    for content in (b"", whole[:100], whole[:-5], b"\x80\x02" + whole):
        file.write_bytes(content)
        assert "is damaged" in refused(command, capsys)
    save_file({"a": np.ones(3, np.float32)}, file)
    assert "takes 1: a file of `scoresde export`" in refused(command, capsys)
    with safetensors.safe_open(exported, framework="numpy") as opened:
        metadata = opened.metadata()
    tensors = load_file(exported)
    tensors["dense_0/kernel"][0, 0] = np.nan
    save_file(tensors, file, metadata)
    assert "not finite, first dense_0/kernel" in refused(command, capsys)
    save_file(load_file(exported), file, metadata | {"step": "-1"})
    assert "is of step -1, takes a number of updates" in refused(command, capsys)
    file.write_bytes(whole)
    line = refused([*command, "--config.model.hidden=(16,17)"], capsys)
    assert "the config's network takes" in line
    assert not workdir.exists()


def test_a_folder_is_no_safetensors_file(tmp_path, capsys):
    command = ["import", "--from=safetensors", str(tmp_path), f"--workdir={tmp_path / 'run'}"]
    assert f"{tmp_path}: is damaged, or no safetensors file" in refused(command, capsys)


def test_a_workdir_below_a_file(exported, tmp_path, capsys):
    (tmp_path / "notes.txt").touch()
    workdir = tmp_path / "notes.txt" / "run"
    command = ["import", "--from=safetensors", str(exported), f"--workdir={workdir}"]
    line = refused(command, capsys)
    assert f"--workdir: {tmp_path / 'notes.txt'} cannot be made (File exists)" in line


def test_a_network_that_takes_no_such_examples(exported, tmp_path, capsys):
    command = ["import", "--from=safetensors", str(exported), f"--workdir={tmp_path / 'run'}"]
    line = refused([*command, "--config.model.name=ncsnpp"], capsys)
    assert "model.name: got 'ncsnpp', which cannot take examples of shape (2,)" in line
    assert not (tmp_path / "run").exists()


def test_data_that_have_changed_since(exported, trained, tmp_path, capsys):
    """The workdir knows which they were: it samples, and measures others by name alone."""
    source, run = tmp_path / "points.npz", tmp_path / "run"
    np.savez(source, points=np.eye(2, dtype=np.float32)[[0, 1] * 20])
    command = ["import", "--from=safetensors", str(exported), f"--workdir={run}"]
    assert main([*command, f"--config.data.source=npz:{source}"]) == 0
    said, spec = capsys.readouterr().out, Workdir(trained).data_spec
    assert f"training take npz:{source} ({spec.num} examples" in said
    assert "not what is there now" in said
    assert Workdir(run).data_spec.digest == spec.digest
    line = refused(["likelihood", f"--workdir={run}", "--devices=1"], capsys)
    assert "takes what the model was trained on" in line
