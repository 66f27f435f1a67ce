"""Runs that are stopped, killed, damaged or fed bad data, and that go on all the same."""

import fcntl
import importlib.util
import itertools
import pathlib
import shutil
import signal
import subprocess
import sys
import zlib

import numpy as np
import portalocker

from experiments.cli import main
from experiments.data import Split
from experiments.runtime import compile_cache
from experiments.training.input_pipeline import Throughput
from tests.experiments.conftest import metrics_of, state_of, train
from tests.experiments.training.stopped import same, stop_before


def test_a_signal_saves_and_the_same_command_goes_on(trained, tmp_path, monkeypatch, capsys):
    """SIGTERM, in the middle between two lines of metrics, whose sums are part of the state; then
    Ctrl-C. Its throughput is counted from the end of the first call, which compiles, on.
    """
    counted_from: list[int] = []
    restart = Throughput.restart

    def restarted(self, step):
        counted_from.append(step)
        restart(self, step)

    monkeypatch.setattr(Throughput, "restart", restarted)
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for call, number, step in ((3, signal.SIGTERM, 3), (2, signal.SIGINT, 5)):
        with monkeypatch.context() as patched:
            stop_before(patched, call, number)
            assert train(tmp_path / "run") == 0
        said = f"stopped and saved at step {step}; the same command goes on"
        assert said in capsys.readouterr().out
        # By then the thread that listens has ended too.
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
        assert signal.set_wakeup_fd(-1) == -1
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [2, 4]
    assert train(tmp_path / "run") == 0
    # Of three runs, the last two of which begin a step before a line.
    assert counted_from == [0, 1, 2, 3, 4, 5, 6]
    same(tmp_path / "run", trained)


BUSY = """
import hashlib, sys
from experiments.runtime.stopping import Stop
with Stop() as stop:
    if sys.argv[1] == "updated":
        stop.must_save()
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, in C, as XLA compiles
"""


def test_a_signal_ends_what_does_not_come_back():
    """At once where nothing is to be saved, else the second one."""
    for name, numbers, said in (
        ("new", [signal.SIGTERM], ["ended by SIGTERM; nothing is lost"]),
        (
            "updated",
            [signal.SIGTERM, signal.SIGINT],
            [
                "stopping after this step, to save; once more ends the run at once",
                "ended by SIGINT; the updates since the last checkpoint are lost",
            ],
        ),
    ):
        root = pathlib.Path(__file__).parents[3]
        command = [sys.executable, "-c", BUSY, name]
        with subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "busy\n"
            for number, line in zip(numbers, said, strict=True):
                process.send_signal(number)
                assert process.stderr.readline() == f"scoresde: {line}\n"
            assert process.wait(timeout=10) == 128 + numbers[-1]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "6"
    for file in newest.rglob("d/*"):
        file.write_bytes(file.read_bytes()[:10])
    assert train(tmp_path / "run") == 0
    captured = capsys.readouterr()
    assert f"{newest}: the checkpoint cannot be read" in captured.err
    assert "resuming" in captured.out
    assert "at step 4" in captured.out
    assert newest.with_name("6.broken").is_dir()
    same(tmp_path / "run", trained)


def test_no_checkpoint_that_can_be_read(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    for file in (tmp_path / "run" / "checkpoints").rglob("d/*"):
        file.write_bytes(b"")
    assert main(["sample", f"--workdir={tmp_path / 'run'}", "--devices=1"]) == 2
    assert "checkpoints/4: the checkpoint cannot be read" in capsys.readouterr().err


def test_a_start_that_was_killed_at_once_leaves_no_trace(trained, tmp_path):
    (tmp_path / "run").mkdir()
    for name in (".lock", "config.json.partial"):
        (tmp_path / "run" / name).write_text("", encoding="utf-8")
    assert train(tmp_path / "run") == 0
    same(tmp_path / "run", trained)


def test_a_live_run_keeps_its_folder(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    config = (tmp_path / "run" / "config.json").stat().st_mtime_ns
    with (tmp_path / "run" / ".lock").open("w", encoding="utf-8") as lock:
        lock.write("process 7 on there")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert train(tmp_path / "run", "--config.training.log_every=1") == 2
    assert "in use by a run (process 7 on there)" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.json").stat().st_mtime_ns == config


def bad_row(request):
    """Points, one of which is not a number."""
    values = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    values[3] = np.nan
    return Split.of(values)


def test_an_update_without_a_finite_gradient_is_skipped(tmp_path, capsys):
    """One batch of two has the bad row: nothing but the step moves."""
    source = f"--config.data.source={bad_row.__module__}:bad_row"
    extra = [source, "--config.training.num_steps=8", "--config.training.log_every=1"]
    assert train(tmp_path / "run", *extra, "--config.training.max_skipped=3") == 0
    lines = metrics_of(tmp_path / "run")
    skipped = [line["skipped"] for line in lines]
    assert sum(skipped) == 4
    for line in lines:
        assert (line["loss"] is None) == bool(line["skipped"])
    assert all(np.isfinite(leaf).all() for leaf in state_of(tmp_path / "run"))
    norms = [line["param_norm"] for line in lines]
    moved = [a != b for a, b in itertools.pairwise(norms)]
    assert moved == [not s for s in skipped[1:]]


def test_too_many_skipped_updates_stop_the_run(tmp_path, capsys):
    arguments = ["--config.training.learning_rate=1e30", "--config.training.num_steps=8"]
    arguments += ["--config.training.warmup=9", "--config.training.max_skipped=3"]
    assert train(tmp_path / "run", *arguments) == 2
    said = capsys.readouterr()
    assert "training.warmup 9 is more than training.num_steps 8" in said.out
    error = said.err.splitlines()[-1]
    assert "4 updates in a row before step 4 had no finite loss" in error
    assert "training.learning_rate" in error


# A thousand zeros as zstd has them, which Python reads from 3.14 on, or by a package.
ZSTD = bytes.fromhex("28b52ffd60e8024d00001000000100e32b8005")
KNOWS_ZSTD = sys.version_info >= (3, 14) or importlib.util.find_spec("zstandard") is not None


def test_cut_entries_of_the_compilation_cache_are_removed(tmp_path):
    whole = zlib.compress(bytes(1000))
    (tmp_path / "a-cache").write_bytes(whole)
    (tmp_path / "b-cache").write_bytes(whole[:-3])
    (tmp_path / "c-cache").write_bytes(b"")
    (tmp_path / "d-cache").write_bytes(b"no stream")
    (tmp_path / "e-cache").write_bytes(ZSTD)
    (tmp_path / "f-cache").write_bytes(ZSTD[:-3])
    broken = ["b-cache", "c-cache", "d-cache", *["f-cache"] * KNOWS_ZSTD]
    assert sorted(compile_cache.repair(tmp_path)) == broken
    assert compile_cache.repair(tmp_path) == []
    assert (tmp_path / "a-cache").exists()
    assert (tmp_path / "e-cache").exists()
    (tmp_path / "g-cache").mkdir()  # what cannot be read stays
    assert compile_cache.repair(tmp_path) == []


def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys):
    def none(*_):
        raise portalocker.LockException("No locks available")

    monkeypatch.setattr(portalocker, "lock", none)
    assert train(tmp_path / "run") == 2
    line = capsys.readouterr().err
    assert ".lock: cannot be locked (No locks available)" in line
    assert line.count("\n") == 1
