"""Paths with ~, wherever one is taken; commands that a shell reads; text in any locale."""

import io
import json
import shlex
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import paths
from experiments.builders.grid import build_grid
from experiments.cli import main
from experiments.commands import train
from experiments.config_schema import flags
from experiments.config_schema.sections import SamplingConfig
from experiments.display.pictures import save_png
from experiments.errors import UserError
from experiments.runtime.atomic_files import write_atomically
from experiments.sampling.latents import read_latents
from experiments.status.facts import read_status
from experiments.workdir.folder import Workdir
from samplers import DDIM
from sde_lib import VP


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and another to stand in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "home"
    assert not list((tmp_path / "here").iterdir())


def test_home_is_expanded_wherever_a_path_is_taken(home, trained, capsys):
    (home / "run").symlink_to(trained)
    assert Workdir("~/run").path == home / "run"
    assert read_status("~/run").workdir == str(home / "run")
    (home / "mine.py").write_text(
        "from experiments.configs.toy2d import get_config\n", encoding="utf-8"
    )
    assert flags.load_config("~/mine.py").sde.name == "vp"
    np.savez(home / "z.npz", latents=np.ones((1, 2)))
    np.testing.assert_array_equal(read_latents("~/z.npz", (2,)), [[1, 1]])
    np.save(home / "times.npy", np.array([1.0, 0.5]))
    grid = build_grid(SamplingConfig(grid="~/times.npy"), DDIM(), VP(), 1.0)
    np.testing.assert_array_equal(grid, [1.0, 0.5])
    # A flag that writes, and one that reads what it wrote.
    assert main(["export", "--workdir=~/run", "--output=~/model.safetensors"]) == 0
    back = capsys.readouterr().out.splitlines()[-1].removeprefix("back: ")
    assert shlex.split(back)[3] == str(home / "model.safetensors")
    read = ["import", "--from=safetensors", "~/model.safetensors", "--workdir=~/again"]
    assert main(read) == 0
    assert (home / "again" / "config.json").is_file()
    (home / "drawn.npz").write_bytes(b"precious")
    assert main(["sample", "--workdir=~/again", "--output=~/drawn"]) == 2
    assert f"--output: {home / 'drawn.npz'} exists" in capsys.readouterr().err


def test_nobody_has_no_home():
    with pytest.raises(UserError, match=r"^~nobody_of_this_name/run: .*takes \./~"):
        paths.expand("~nobody_of_this_name/run")


def test_commands_are_words_to_a_shell(tmp_path):
    workdir = Workdir(tmp_path / "it's my run; $(rm)")
    line = train._summary(3, workdir).splitlines()[-1].removeprefix("next: ")
    assert shlex.split(line) == ["scoresde", "sample", f"--workdir={workdir.path}"]


def test_output_takes_every_character(monkeypatch):
    """On a terminal that knows ASCII alone; `solvers` has dashes and names with accents."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["solvers"]) == 0
    assert main(["sample", "--workdir=–/\udcff"]) == 2
    for stream, character in ((out, rb"\u2013"), (err, rb"\u2013/\udcff")):
        stream.flush()
        assert character in stream.buffer.getvalue()


def test_files_take_every_character(tmp_path):
    """UTF-8, and names of files that are none as JSON's escapes."""
    text = json.dumps({"−log₂ P": "\udcff.npz"}, ensure_ascii=False)
    write_atomically(tmp_path / "a.json", text)
    assert "−log₂ P".encode() in (tmp_path / "a.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == json.loads(text)
    save_png(tmp_path / "a.png", np.zeros((1, 1, 3), np.uint8), command="é \udcff")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["command"] == "é \\udcff"
