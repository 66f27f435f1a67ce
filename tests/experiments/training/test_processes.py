"""Two processes on this host, with two devices each: one run, stopped, killed, taken up again."""

import os
import pathlib
import re
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

SIGNALLED = """
import os, signal, sys, time
from experiments.cli import main
from experiments.training.input_pipeline import Streaming
read, calls = Streaming.read, []
def reading(self, count):
    calls.append(count)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGINT)
    if len(calls) > 1:
        time.sleep(2)  # some seconds pass before all have agreed on a step
    return read(self, count)
Streaming.read = reading
sys.exit(main(sys.argv[1:]))
"""


def launch(
    workdir: pathlib.Path, *arguments: str, second: tuple[str, ...] = (), signalled: bool = False
):
    """Both processes; the second has further arguments, or gets Ctrl-C after its first step."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = ["train", *RUN, f"--workdir={workdir}", *arguments, "--num_processes=2"]
    common += [f"--coordinator=localhost:{port}", "--wait=60"]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": str(ROOT)}
    # What one launch has compiled, the next one reads.
    environment["JAX_COMPILATION_CACHE_DIR"] = str(workdir.parents[1] / "programs")
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    programs = [["-m", "experiments"], ["-c", SIGNALLED] if signalled else ["-m", "experiments"]]
    return [
        subprocess.Popen(
            [sys.executable, *programs[i], *common, f"--process_id={i}", *(second * i)],
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
    """Ctrl-C at one stops both at one step; taken up, killed after a checkpoint, and taken up once
    more it is the run of one process.

    A call makes two steps, and the parameters lie in two parts.
    """
    both = ["--fsdp=2", "--config.training.steps_per_call=2"]
    codes, said = end(launch(tmp_path / "two", *both, signalled=True))
    assert codes == [0, 0], said
    assert "stopped and saved at step" in said[0][0]
    assert "stopped" not in said[1][0]  # one of them speaks
    stopped = int(re.search(r"saved at step (\d+)", said[0][0])[1])
    assert stopped in range(4, 20, 2)
    processes = launch(tmp_path / "two", *both)
    wait_for(tmp_path / "two" / "checkpoints" / "10", processes)
    for process in processes:
        process.send_signal(signal.SIGKILL)
    end(processes)
    codes, said = end(launch(tmp_path / "two", *both))
    assert codes == [0, 0], said
    assert "resuming" in said[0][0]
    assert "step 20" in said[0][1]
    assert "step 20" not in said[1][1]
    assert train(tmp_path / "one", *RUN[1:]) == 0
    ours, theirs = metrics_of(tmp_path / "two"), metrics_of(tmp_path / "one")
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    # Sums over the batch in another order: float32 rounding, 1e-7, grown over twenty steps of Adam.
    np.testing.assert_allclose(
        [line["loss"] for line in ours], [line["loss"] for line in theirs], rtol=1e-5
    )
    assert len(list((tmp_path / "two" / "samples").glob("training-00000020-*.png"))) == 1
    assert (tmp_path / "two" / "averages" / "00000020.npz").is_file()


def test_processes_that_differ_stop(tmp_path):
    second = ("--config.training.learning_rate=0.5",)
    codes, said = end(launch(tmp_path / "run", second=second))
    assert codes == [2, 2], said
    for _, error in said:
        line = error.strip().splitlines()[-1]
        assert all(word in line for word in ("training.learning_rate", "process 1")), line
    assert not (tmp_path / "run").exists()
