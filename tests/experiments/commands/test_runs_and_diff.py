"""What `runs` lists and how `diff` compares: files made by hand, and configs that come along."""

import json
import os
import pathlib
import time

import pytest

from experiments.cli import main
from experiments.config_schema.flags import load_experiment
from experiments.display.columns import aligned
from experiments.workdir.folder import Workdir


def run(path: pathlib.Path, age: float, **more: str) -> pathlib.Path:
    """A workdir of so many seconds ago with 50 of 100 steps, and files by path."""
    config = {
        "sde": {"name": "ve"},
        "model": {"name": "mlp", "parameterization": "edm"},
        "data": {"source": "toy:moons"},
        "training": {"num_steps": 100, "batch_size": 8},
    }
    files = {"config.json": json.dumps(config), "metrics.jsonl": '{"step": 50, "loss": 0.25}\n'}
    for name, text in (files | more).items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        os.utime(file, (time.time() - age, time.time() - age))
    return path


def listed(folder: pathlib.Path, capsys) -> list[str]:
    assert main(["runs", str(folder)]) == 0
    return capsys.readouterr().out.splitlines()


def test_runs_are_listed_newest_first_with_what_was_measured(tmp_path, capsys):
    bits = {"protocol": {"split": "test"}, "examples": 9, "bits_per_dim": 3.25}
    fd = {
        "metrics": {"fd": {"value": 12.5, "standard_error": 0.5}},
        "protocol": {"samples": {"parameters_digest": "0"}},
    }
    files = {"metrics": {"fd": {"value": 99.0}}, "protocol": {"samples": {"num": 3}}}
    run(tmp_path / "old", 7200)
    run(
        tmp_path / "deep" / "new",
        60,
        **{
            "likelihood/a.json": json.dumps(bits | {"standard_error": 0.0125}),
            "evaluation/a.json": json.dumps(fd),
            "evaluation/files.json": json.dumps(files),
            "evaluation/b.json": json.dumps({"metrics": {"kd": {"value": 1.0}}}),
        },
    )
    # Neither a config of something else nor what lies in a workdir is a run.
    run(tmp_path / "old" / "checkpoints" / "50", 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}", encoding="utf-8")
    header, newer, older = listed(tmp_path, capsys)
    assert header.split() == ["run", "SDE", "seed", "step", "loss", "bits/dim", "FD", "age"]
    said = [part.strip() for part in newer.split("  ") if part]
    assert said[:-1] == ["deep/new", "ve", "0", "50 of 100", "0.25", "3.2500 ± 0.013", "12.5 ± 0.5"]
    assert said[-1].startswith("1 min 0")
    assert older.split("  ")[0] == "old"
    assert older.split()[-7:-3] == ["0.25", "–", "–", "2"]
    # Numbers end where their headers do.
    for line in (newer, older):
        assert line[: header.index("loss") + 4].endswith("0.25")


def test_files_of_something_else_hide_no_run(tmp_path, capsys):
    for number, text in enumerate(["[1]", '{"training": 3}', "\x00"]):
        run(tmp_path / f"other{number}", 60, **{"config.json": text})
    for number, text in enumerate(["garbage", "[1]\n", '{"a": 1}\n']):
        run(tmp_path / f"run{number}", 60, **{"metrics.jsonl": text, "likelihood/a.json": "[]"})
    lines = sorted(listed(tmp_path, capsys)[1:])
    assert [line.split()[:6] for line in lines] == [
        [f"run{number}", "ve", "0", "0", "of", "100"] for number in range(3)
    ]


def test_a_config_that_is_no_table_is_told(tmp_path, capsys):
    (tmp_path / "config.json").write_text("[1]", encoding="utf-8")
    assert main(["diff", str(tmp_path), "toy2d"]) == 2
    error = capsys.readouterr().err
    assert (
        error
        == f"scoresde: {tmp_path}/config.json: takes an experiment's config, sections of fields\n"
    )


def test_runs_of_an_empty_folder_and_of_none(tmp_path, capsys):
    assert listed(tmp_path, capsys) == [f"no runs below {tmp_path}"]
    assert main(["runs", str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err == f"scoresde: runs: got {tmp_path}/missing, takes a folder\n"


def test_a_difference_of_two_workdirs_and_of_a_workdir_and_a_config(tmp_path, capsys):
    for name, flags in {"a": [], "b": ["--config.training.batch_size=16"]}.items():
        (tmp_path / name).mkdir()
        Workdir(tmp_path / name).record(load_experiment("toy2d", flags))
    paths = [str(tmp_path / name) for name in "ab"]
    usual = load_experiment("toy2d", []).training.batch_size
    assert main(["diff", *paths]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["field", *paths]
    assert line.split() == ["training.batch_size", str(usual), "16"]
    assert header.index(paths[1]) == line.index(" 16") + 1
    assert main(["diff", "toy2d", paths[1]]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == line.split()
    assert main(["diff", paths[0], "toy2d"]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_fields_that_one_of_two_configs_lacks(capsys):
    assert main(["diff", "toy2d", "digits"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:])
    assert lines["model.nf"].split()[0] == "–"
    assert lines["data.source"].split() == ["toy:moons", "digits"]


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_difference_of_what_is_no_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["diff", name, "toy2d"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert {"nothing": "nothing is no workdir", ".": "no config.json"}[name] in error


def test_columns():
    assert aligned([("a", "b"), ("long", "100")], right=[1]) == "a       b\nlong  100"
