"""Two processes on this host, with two devices each: one run, killed and taken up again."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np

from tests.experiments.conftest import TOY, metrics_of, train

ROOT = pathlib.Path(__file__).parents[3]
RUN = [argument for argument in TOY if not argument.startswith("--devices")]
RUN += ["--config.model.conditional=True", "--config.data.stream=True"]
RUN += ["--config.training.num_steps=20", "--config.training.save_every=10"]
RUN += ["--config.training.sample_every=20", "--config.training.averages=('power:0.1',)"]


def launch(workdir: pathlib.Path, *arguments: str, second: tuple[str, ...] = ()):
    """Both processes; `second` are further arguments of the second alone."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = ["train", *RUN, f"--workdir={workdir}", *arguments, "--num_processes=2"]
    common += [f"--coordinator=localhost:{port}", "--wait=60"]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": str(ROOT)}
    # What one launch has compiled, the next one reads.
    environment["JAX_COMPILATION_CACHE_DIR"] = str(workdir.parents[1] / "programs")
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    return [
        subprocess.Popen(
            [sys.executable, "-m", "experiments", *common, f"--process_id={i}", *(second * i)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]


def end(processes):
    """Exit codes and what they said."""
    said = [process.communicate(timeout=120) for process in processes]
    return [process.returncode for process in processes], said


def wait_for(path: pathlib.Path, processes):
    """Until a file is there."""
    until = time.monotonic() + 90
    while not path.exists():
        assert time.monotonic() < until
        assert all(process.poll() is None for process in processes), end(processes)
        time.sleep(0.01)


def test_a_run_of_two_processes(tmp_path):
    """Killed after a checkpoint, taken up, its parameters in two parts: the run of one process."""
    processes = launch(tmp_path / "two", "--fsdp=2")
    wait_for(tmp_path / "two" / "checkpoints" / "10", processes)
    for process in processes:
        process.send_signal(signal.SIGKILL)
    end(processes)
    codes, said = end(launch(tmp_path / "two", "--fsdp=2"))
    assert codes == [0, 0], said
    assert "resuming" in said[0][0]
    assert "step 20" in said[0][1]
    assert "step 20" not in said[1][1]  # one of them speaks
    assert train(tmp_path / "one", *RUN[1:]) == 0
    ours, theirs = metrics_of(tmp_path / "two"), metrics_of(tmp_path / "one")
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    # Sums over the batch in another order: float32 rounding, 1e-7, grown over twenty steps of Adam.
    np.testing.assert_allclose(
        [line["loss"] for line in ours], [line["loss"] for line in theirs], rtol=1e-5
    )
    assert len(list((tmp_path / "two" / "samples").glob("training-00000020-*.png"))) == 1
    assert (tmp_path / "two" / "averages" / "00000020.npz").is_file()


def test_sigterm_to_one_stops_both(tmp_path):
    """At one step, also where a call makes several."""
    more = ["--config.training.num_steps=100000", "--config.training.sample_every=0"]
    processes = launch(tmp_path / "two", *more, "--config.training.steps_per_call=5")
    wait_for(tmp_path / "two" / "checkpoints" / "10", processes)
    processes[1].send_signal(signal.SIGTERM)
    codes, said = end(processes)
    assert codes == [0, 0], said
    assert "stopped and saved at step" in said[0][0]
    assert "stopped" not in said[1][0]  # one of them speaks


def test_processes_that_differ_stop(tmp_path):
    second = ("--config.training.learning_rate=0.5",)
    codes, said = end(launch(tmp_path / "run", second=second))
    assert codes == [2, 2], said
    for _, error in said:
        line = error.strip().splitlines()[-1]
        assert all(word in line for word in ("training.learning_rate", "process 1")), line
    assert not (tmp_path / "run").exists()
