"""Runs that are killed, starved and damaged, against the run that nothing happened to.

    python -m benchmarks.faults [--kills=50] [--each=10] [--only=NAME]

kills        kill −9 of a small run on the digits, at times with a fixed seed that are spread over
             start-up, steps and saves, its compilation cache included; each time the same command
             goes on. Then it is left to end.
truncated    a file of the newest checkpoint is cut to half; missing: removed. The run goes on.
disk_full    writing more than a few KiB fails during a save. Afterwards the run goes on.
nan          a bad example in the data: its updates are skipped and counted, the run ends.
sigterm      during a save. The run goes on.

A fault counts as survived if the message is as documented, with no traceback, and the final state,
metrics (wall clock aside), sample grids and snapshots of averages equal those of the undisturbed
run, bit for bit; of `nan`, if the run ends with finite losses and the right number of skipped
updates. A limit on the size of files stands for the full disk. The result goes to
benchmarks/results/faults.json, and its line into the docs.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from PIL import Image

from benchmarks.report import into_pages, read, save
from experiments.config_schema.resolve import resolve
from experiments.runtime.devices import make_mesh
from experiments.workdir.folder import Workdir
from experiments.workdir.metrics import CLOCK
from experiments.workdir.restored_run import restore

DIGITS = [
    "--config=digits",
    "--devices=1",
    "--config.model.nf=8",
    "--config.model.ch_mult=(1,)",
    "--config.model.attn_resolutions=()",
    "--config.training.batch_size=32",
    "--config.training.averages=('power:0.1',)",
    "--config.training.log_every=20",
    "--config.sampling.solver=adams",
    "--config.sampling.corrector=none",
    "--config.sampling.num_steps=6",
    "--config.sampling.num=16",
    "--config.sampling.batch_size=16",
]
LONG = ["--config.training.num_steps=10000", "--config.training.save_every=100"]
LONG += ["--config.training.sample_every=1000"]
SHORT = ["--config.training.num_steps=120", "--config.training.save_every=40"]
SHORT += ["--config.training.sample_every=60"]

FULL_DISK = """
import resource, signal, sys
from experiments.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(main(sys.argv[1:]))
"""

BAD_DATA = """
import numpy as np
from experiments.data import Split


def points(request):
    values = np.random.default_rng({seed}).normal(size=(512, 2)).astype(np.float32)
    values[{seed}] = np.nan
    return Split.of(values)
"""


class Runs:
    """Commands in one folder, with a compilation cache of its own."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        root = str(pathlib.Path(__file__).parents[1])
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([root, str(folder), os.environ.get("PYTHONPATH", "")]),
            "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        }

    def start(self, name: str, arguments: list[str], program: list[str]) -> subprocess.Popen:
        """`train` into the sub-folder `name`."""
        command = [sys.executable, *program, "train", f"--workdir={self.folder / name}", *arguments]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self, name: str, arguments: list[str], program: tuple[str, ...] = ("-m", "experiments")
    ) -> tuple[int, str]:
        """To its end: the exit code and what it said."""
        process = self.start(name, arguments, list(program))
        output, _ = process.communicate()
        return process.returncode, output


def main() -> None:
    """All faults, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--only", choices=[*FAULTS, "kills"], help="the rest as last measured")
    options = parser.parse_args()
    result: dict[str, Any] = {"survived": {}, "faults": options.each}
    if options.only:
        result = read("faults")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="faults-"))
    runs = Runs(folder)
    assert runs.run("short", [*DIGITS, *SHORT])[0] == 0
    for name, fault in FAULTS.items():
        if options.only in (None, name):
            outcomes = [fault(runs, f"{name}-{seed}", seed) for seed in range(options.each)]
            result["survived"][name] = sum(outcomes)
            print(f"{name}: {sum(outcomes)} of {options.each} survived", flush=True)
    if options.only in (None, "kills"):
        result["kills"] = kills(runs, options.kills)
    save("faults", result)
    into_pages("faults", words(result))
    shutil.rmtree(folder)


def words(result: dict) -> str:
    """The docs' line."""
    killed, each = result["kills"], result["faults"]
    same = "the same bits" if killed["same"] else "NOT the same"
    rest = ", ".join(f"{name} {number}/{each}" for name, number in result["survived"].items())
    return f"{killed['number']} times kill −9: {same} at the end; survived: {rest}"


def kills(runs: Runs, number: int) -> dict:
    """Kill the long run so many times, let it end, and compare with one that was not killed."""
    began = time.perf_counter()
    assert runs.run("whole", [*DIGITS, *LONG])[0] == 0
    seconds = time.perf_counter() - began
    delays, during = random.Random(0), {"start-up": 0, "steps": 0, "saves": 0}
    for _ in range(number):
        process = runs.start("killed", [*DIGITS, *LONG], ["-m", "experiments"])
        time.sleep(delays.uniform(0.5, 14.0))
        if process.poll() is not None:
            raise RuntimeError(f"ended before it was killed: {process.communicate()[0][-2000:]}")
        saving = list((runs.folder / "killed" / "checkpoints").glob("*tmp*"))
        process.send_signal(signal.SIGKILL)
        output = process.communicate()[0]
        steps = any(line.startswith("step ") for line in output.splitlines())
        during["saves" if saving else "steps" if steps else "start-up"] += 1
        if "Traceback" in output:
            raise RuntimeError(output)
    code, output = runs.run("killed", [*DIGITS, *LONG])
    same = code == 0 and equal(runs.folder / "killed", runs.folder / "whole")
    print(f"kills: {number}, {during}, same: {same}", flush=True)
    return {"number": number, "during": during, "same": same, "seconds_undisturbed": seconds}


def copy_of_short(runs: Runs, name: str) -> pathlib.Path:
    """The short run as it was after 80 of its 120 steps."""
    folder = runs.folder / name
    shutil.copytree(runs.folder / "short", folder)
    shutil.rmtree(folder / "checkpoints" / "120")
    return folder


def damaged(change: Callable[[pathlib.Path], None]) -> Callable[[Runs, str, int], bool]:
    """A fault of a file of the newest checkpoint."""

    def fault(runs: Runs, name: str, seed: int) -> bool:
        folder = runs.folder / name
        shutil.copytree(runs.folder / "short", folder)
        newest = folder / "checkpoints" / "120"
        files = sorted(file for file in newest.rglob("*") if file.is_file())
        broken = random.Random(seed).choice(files)
        change(broken)
        code, output = runs.run(name, [*DIGITS, *SHORT])
        said = "cannot be read" in output or "at step 120" in output
        same = equal(folder, runs.folder / "short")
        print(f"  {broken.relative_to(newest)}: said {said}, same {same}", flush=True)
        return code == 0 and said and same and "Traceback" not in output

    return fault


def truncate(file: pathlib.Path) -> None:
    """To half of it."""
    os.truncate(file, file.stat().st_size // 2)


def disk_full(runs: Runs, name: str, seed: int) -> bool:
    """No file may be larger than some KiB, from step 80 on."""
    folder = copy_of_short(runs, name)
    program = ("-c", FULL_DISK.format(limit=2048 + 1024 * seed))
    code, output = runs.run(name, [*DIGITS, *SHORT], program)
    said = code == 2 and ("could not be written" in output or "File too large" in output)
    code, _ = runs.run(name, [*DIGITS, *SHORT])
    same = code == 0 and equal(folder, runs.folder / "short")
    print(f"  limit {2 + seed} KiB: said {said}, same {same}", flush=True)
    return said and same and "Traceback" not in output


def nan(runs: Runs, name: str, seed: int) -> bool:
    """A bad example among 512 points: one update in sixteen is skipped."""
    (runs.folder / f"bad{seed}.py").write_text(BAD_DATA.format(seed=seed), encoding="utf-8")
    arguments = ["--config=toy2d", "--devices=1", "--config.model.hidden=(16,16)", *SHORT]
    arguments += [f"--config.data.source=bad{seed}:points", "--config.training.batch_size=32"]
    arguments += ["--config.training.log_every=20", "--config.training.sample_every=0"]
    arguments += [f"--config.seed={seed}", "--config.training.num_steps=119"]
    code, output = runs.run(name, arguments)
    lines = metrics(runs.folder / name)
    skipped = sum(line["skipped"] for line in lines)
    finite = all(line["loss"] is not None for line in lines)
    # 119 updates of 32 see every one of 512 examples 7 or 8 times.
    print(f"  skipped {skipped:.0f}, finite {finite}", flush=True)
    return code == 0 and skipped in (7, 8) and finite and "Traceback" not in output


def sigterm(runs: Runs, name: str, seed: int) -> bool:
    """As soon as there is a half-written checkpoint."""
    folder = copy_of_short(runs, name)
    process = runs.start(name, [*DIGITS, *SHORT], ["-m", "experiments"])
    checkpoints = folder / "checkpoints"
    while process.poll() is None and not (checkpoints / "120").exists():
        if any("tmp" in path.name for path in checkpoints.iterdir()):
            break
        time.sleep(0.0005 * (1 + seed))
    process.send_signal(signal.SIGTERM)
    output = process.communicate()[0]
    said = "stopped and saved" in output or "trained 120 steps" in output
    code, _ = runs.run(name, [*DIGITS, *SHORT])
    same = code == 0 and equal(folder, runs.folder / "short")
    print(f"  said {said}, exit {process.returncode}, same {same}", flush=True)
    return said and process.returncode == 0 and same and "Traceback" not in output


FAULTS = {
    "truncated": damaged(truncate),
    "missing": damaged(pathlib.Path.unlink),
    "disk_full": disk_full,
    "nan": nan,
    "sigterm": sigterm,
}


def metrics(folder: pathlib.Path) -> list[dict]:
    """The lines without the wall clock."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in line.items() if k not in CLOCK} for line in lines]


def equal(ours: pathlib.Path, theirs: pathlib.Path) -> bool:
    """States, metrics and sample grids, to the bit."""
    states = []
    for folder in (ours, theirs):
        experiment = resolve(Workdir(folder).load())
        states.append(restore(Workdir(folder), experiment, (8, 8, 1), make_mesh(1)))
    leaves = [
        [np.asarray(jax.random.key_data(x) if x.dtype == states[0].key.dtype else x) for x in s]
        for s in map(jax.tree.leaves, states)
    ]
    same = all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))
    pictures = [
        [np.asarray(Image.open(path)).tobytes() for path in sorted((f / "samples").glob("*.png"))]
        for f in (ours, theirs)
    ]
    snapshots = [
        [dict(np.load(path)) for path in sorted((f / "averages").glob("*.npz"))]
        for f in (ours, theirs)
    ]
    same &= all(
        a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
        for a, b in zip(*snapshots, strict=True)
    )
    return same and metrics(ours) == metrics(theirs) and pictures[0] == pictures[1]


if __name__ == "__main__":
    main()
