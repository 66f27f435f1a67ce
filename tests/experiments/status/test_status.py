"""What `scoresde status` says of a workdir, from files made by hand and from a trained run."""

import contextlib
import fcntl
import json
import math
import os
import pathlib
import subprocess
import sys
import time

import pytest

from experiments.cli import main
from experiments.display.sparkline import resample, spans_a_decade, sparkline
from experiments.status.facts import read_status
from experiments.status.text import as_text
from experiments.workdir import metrics

CONFIG = {
    "sde": {"name": "subvp"},
    "model": {"name": "ncsnpp", "parameterization": "noise"},
    "data": {"source": "digits"},
    "training": {"num_steps": 1000, "batch_size": 50},
}


@pytest.fixture
def workdir(tmp_path: pathlib.Path) -> pathlib.Path:
    """A workdir with a config alone."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return path


def write_metrics(workdir: pathlib.Path, *lines: dict, tail: str = "") -> None:
    """metrics.jsonl with these lines, and what a killed run left of another one."""
    (workdir / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + tail, encoding="utf-8"
    )


def checkpoint(workdir: pathlib.Path, *names: str) -> None:
    """Folders of checkpoints."""
    for name in names:
        (workdir / "checkpoints" / name).mkdir(parents=True)


@contextlib.contextmanager
def locked(workdir: pathlib.Path):
    """The lock that a run holds."""
    with (workdir / ".lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def facts(workdir: pathlib.Path, capsys) -> dict:
    """What --json prints, read strictly: no NaN."""
    assert main(["status", f"--workdir={workdir}", "--json"]) == 0

    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def test_a_run_on_its_way(workdir, capsys):
    losses = [1.0, 0.1, 0.01, 0.001]
    write_metrics(
        workdir,
        *({"step": 100 * k, "loss": x, "images_per_second": 10.0} for k, x in enumerate(losses, 1)),
        tail='{"step": 500, "lo',
    )
    checkpoint(workdir, "200", "400", "600.orbax-checkpoint-tmp")
    found = facts(workdir, capsys)
    assert (found["step"], found["num_steps"], found["checkpoints"]) == (400, 1000, [200, 400])
    # 600 steps of 50 images at 10 a second.
    assert found["seconds_left"] == 3000
    assert not found["running"]
    assert not found["finished"]
    assert main(["status", f"--workdir={workdir}"]) == 0
    text = capsys.readouterr().out
    assert "ncsnpp (noise parameterization) on digits under subvp" in text
    assert "step 400 of 1000 (40 %), 50 min 00 s of training left; checkpoints: 200, 400" in text
    # Equal ratios are equal steps on a logarithmic axis.
    assert "loss 1 █▆▃▁ 0.001 over the run, log scale" in text
    assert f"next: scoresde train --config=FILE --workdir={workdir}" in text


def test_a_run_that_holds_its_lock_is_running(workdir):
    with locked(workdir):
        assert read_status(workdir).running
        assert read_status(workdir).next == []
    assert (workdir / ".lock").is_file()
    status = read_status(workdir)
    assert not status.running
    assert len(status.next) == 1


def test_looking_does_not_keep_the_lock(workdir):
    with locked(workdir):
        pass
    read_status(workdir)
    with (workdir / ".lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_before_the_first_metrics(workdir, capsys):
    found = facts(workdir, capsys)
    assert (found["step"], found["losses"], found["seconds_left"]) == (0, [], None)
    text = as_text(read_status(workdir))
    assert "not running; no metrics yet" in text
    assert "checkpoints: none" in text
    assert "goes on from step 0" in text


def test_when_metrics_were_written(workdir):
    write_metrics(workdir, {"step": 1, "loss": 1.0})
    then = time.time() - 7200
    os.utime(workdir / "metrics.jsonl", (then, then))
    assert "metrics written 2 h 00 min ago" in as_text(read_status(workdir))


def test_losses_that_are_not_finite(workdir, capsys):
    values = [2.0, math.nan, 1.0, math.inf]
    write_metrics(workdir, *({"step": k, "loss": x} for k, x in enumerate(values, 1)))
    text = as_text(read_status(workdir))
    assert "loss 2 █×▁× inf over the run" in text
    assert "a loss that is not finite: 2" in text
    found = facts(workdir, capsys)
    assert found["losses"] == [2.0, None, 1.0, None]
    assert found["metrics"] == {"loss": None}


def test_every_metric_is_shown_and_lists_are_curves(workdir):
    by_time = [8.0, 4.0, 2.0, 1.0]
    write_metrics(
        workdir,
        {"step": 1, "skipped": 3, "loss": 0.25, "loss_by_time": by_time, "empty": [], "gap": None},
    )
    text = as_text(read_status(workdir))
    assert "loss 0.25, skipped 3, gap not finite\n" in text
    assert "loss_by_time 8 █▄▂▁ 1 in 4 bins of time" in text


def test_the_rate_is_the_median_of_the_newest_lines(workdir):
    rates = [1e9] * 5 + [10.0] * 9 + [0.01]
    write_metrics(
        workdir,
        *({"step": k, "loss": 1.0, "images_per_second": r} for k, r in enumerate(rates, 1)),
    )
    assert read_status(workdir).seconds_left == (1000 - 15) * 50 / 10


def test_a_finished_run_says_what_is_left_to_make(workdir, capsys):
    write_metrics(workdir, {"step": 1000, "loss": 1.0, "images_per_second": 10.0})
    checkpoint(workdir, "1000")
    status = read_status(workdir)
    assert status.finished
    assert status.seconds_left is None
    assert [line.split()[1] for line in status.next] == ["sample", "likelihood"]
    make(workdir / "samples", "training-00000500.png", "step1000-adams-19steps-seed0.png")
    assert [line.split()[1] for line in read_status(workdir).next] == ["likelihood"]
    report = {"bits_per_dim": 3.25, "standard_error": 0.5, "examples": 9}
    report |= {"protocol": {"split": "test"}}
    make(workdir / "likelihood", "old.json", "new.json", "other.json")
    (workdir / "likelihood" / "old.json").write_text(
        json.dumps(report | {"bits_per_dim": 7.0}), encoding="utf-8"
    )
    (workdir / "likelihood" / "new.json").write_text(json.dumps(report), encoding="utf-8")
    for age, name in enumerate(["other.json", "new.json", "old.json"]):
        os.utime(workdir / "likelihood" / name, (1e9 - age, 1e9 - age))
    text = as_text(read_status(workdir))
    assert "finished; metrics written" in text
    assert "likelihood/: other.json, new.json, old.json\n3.2500 ± 0.5000 bits/dim of 9 test" in text
    assert "next:" not in text
    assert facts(workdir, capsys)["measured"]["file"].endswith("new.json")


def make(folder: pathlib.Path, *names: str) -> None:
    """Empty files."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_many_files_are_counted(workdir):
    make(workdir / "samples", *(f"training-{k:08d}.png" for k in range(5)))
    assert ".png and 2 older" in as_text(read_status(workdir))


@pytest.mark.parametrize("columns", [20, 80, 300])
def test_a_long_run_fits_the_terminal(workdir, monkeypatch, columns):
    write_metrics(workdir, *({"step": k, "loss": 2.0 - k / 1000} for k in range(1, 1001)))
    monkeypatch.setenv("COLUMNS", str(columns))
    line = next(line for line in as_text(read_status(workdir)).splitlines() if "▁" in line)
    curve = [character for character in line if character in "▁▂▃▄▅▆▇█"]
    assert curve == sorted(curve, reverse=True)
    assert len(curve) == {20: 1, 80: 80 - len("loss 1.991  1.008 over the run"), 300: 60}[columns]


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "holds no experiment (no config.json)"), ("{", "config.json"), ('{"sde": 1}', "takes")],
)
def test_a_folder_without_an_experiment(tmp_path, capsys, text, says):
    if text is not None:
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert main(["status", f"--workdir={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    if text is None:  # as the folder of an ablation, which has many
        (tmp_path / "models" / "a").mkdir(parents=True)
        (tmp_path / "models" / "a" / "config.json").touch()
        assert main(["status", f"--workdir={tmp_path}"]) == 2
        assert f"takes one of those in it, {tmp_path}/models/a\n" in capsys.readouterr().err


def test_an_unknown_argument(workdir, capsys):
    assert main(["status", f"--workdir={workdir}", "--jsn"]) == 2
    assert "takes --workdir and --json" in capsys.readouterr().err


def test_the_trained_run(trained, capsys):
    found = facts(trained, capsys)
    assert (found["step"], found["num_steps"], found["finished"]) == (6, 6, True)
    assert found["checkpoints"][-1] == 6
    assert (found["sde"], found["network"], found["data"]) == ("vp", "mlp", "toy:moons")
    lines = metrics.read_metrics(trained / "metrics.jsonl")
    assert found["losses"] == [line["loss"] for line in lines]
    assert found["metrics"] == {k: v for k, v in lines[-1].items() if k != "step"}
    assert main(["status", f"--workdir={trained}"]) == 0
    assert "finished" in capsys.readouterr().out


def test_it_answers_without_jax(workdir):
    program = (
        "import sys; from experiments.cli import main; "
        f"assert main(['status', '--workdir={workdir}']) == 0; assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_a_sparkline_is_linear_in_its_blocks():
    assert sparkline(range(8)) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0, 5.0]) == "▁▁"
    assert sparkline([2.0**k for k in range(8)], log=True) == "▁▂▃▄▅▆▇█"
    assert sparkline([math.nan]) == "×"


def test_a_logarithm_is_taken_of_positive_values_alone():
    assert spans_a_decade([0.1, 1.1])
    assert not spans_a_decade([0.11, 1.0])
    assert not spans_a_decade([0.0, 1.0])
    assert not spans_a_decade([math.nan])


def test_resampling_keeps_the_mean_of_equal_parts():
    assert resample([1.0, 3.0, math.nan, 5.0, math.inf, math.nan], 3)[:2] == [2.0, 5.0]
    assert math.isnan(resample([1.0, 3.0, math.nan, math.nan], 2)[1])
    values = [float(k) for k in range(1000)]
    parts = resample(values, 40)
    assert sum(parts) / 40 == pytest.approx(sum(values) / 1000)
