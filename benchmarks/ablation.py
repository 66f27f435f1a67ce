"""An ablation by one command against its bare cells, and killed against undisturbed.

    python -m benchmarks.ablation [--steps=600] [--seeds=3] [--kills=3] [--kill_steps=60]
                                  [--only=PART,…] [--keep=DIR]

table        VP, sub-VP and VE × predictor–corrector, probability flow and adams on the digits, at
             `seeds` seeds: bits/dim, network evaluations, loss. It prints first what `--plan` says.
overhead     the time of that command over that of the same cells without it: one process that
             calls train, draw and measure, with steps compiled once as well. Each begins with an
             empty compilation cache.
kills        the same cells, trained for `kill_steps`; kill −9 at `kills` moments with a fixed seed,
             the same command after each; the files of the table equal the undisturbed ones'.

The parts measured go to benchmarks/results/ablation.json, each with its machine.
"""

import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.parts import keep, some_of
from benchmarks.report import ROOT
from experiments.ablation.cell import cells_of
from experiments.ablation.folder import AblationFolder
from experiments.ablation.question import Axis, Question
from experiments.likelihood.measure import measure
from experiments.runtime import devices
from experiments.sampling.draw import draw
from experiments.training.shared import Shared
from experiments.training.train import train
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel

_OVER = (
    "sde.name=vp,subvp,ve",
    "sampling.solver=reverse_diffusion,probability_flow,adams",
    "sampling.corrector=langevin,none,none",
)
_ZIP = "sampling.solver,sampling.corrector"
_METRICS = "bpd,nfe,loss"
_TABLE = ("table.json", "table.csv", "table.md", "table.tex")
_PARTS = ("table", "overhead", "kills")
_SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, metavar="N")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--kills", type=int, default=3, metavar="N")
    parser.add_argument("--kill_steps", type=int, default=60, metavar="N")
    parser.add_argument("--only", type=some_of(_PARTS), default=_PARTS, metavar="PART,…")
    parser.add_argument("--keep", metavar="DIR", help="where the table's folder is kept")
    parser.add_argument("--bare", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(pathlib.Path(options.bare), options.steps, options.seeds)
        return
    parts = options.only
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        whole = 0.0
        if parts != ("kills",):
            whole = _table(root / "table", options, kept="table" in parts)
        if "overhead" in parts:
            _overhead(root, options, whole)
        if "kills" in parts:
            _kills(root, options)


def words(result: dict[str, Any]) -> str:
    """What has been measured, in a line."""
    table = result["table"]
    said = [
        f"{table['cells']} cells at {table['seeds']} seeds, {table['steps']} steps each, in "
        f"{table['minutes']:.0f} minutes on {table['machine']['cores']} cores"
    ]
    if overhead := result.get("overhead"):
        said.append(f"{overhead['overhead']:.1%} over the bare cells at {overhead['steps']} steps")
    if kills := result.get("kills"):
        times = len(kills["killed_after_seconds"])
        said.append(f"killed {times} times: {kills['same_files']} files of the table the same")
    return "; ".join(said)


def command(workdir: pathlib.Path, steps: int, seeds: int) -> list[str]:
    """The one command."""
    return [
        *(sys.executable, "-m", "experiments", "ablate", "--config=digits"),
        *(f"--over={axis}" for axis in _OVER),
        f"--zip={_ZIP}",
        f"--seeds={seeds}",
        f"--metrics={_METRICS}",
        f"--config.training.num_steps={steps}",
        "--config.training.sample_every=0",
        f"--workdir={workdir}",
    ]


def question(steps: int, seeds: int) -> Question:
    """The question of `command`."""
    return Question(
        config="digits",
        over=tuple(map(Axis.parse, _OVER)),
        zip=(tuple(_ZIP.split(",")),),
        seeds=seeds,
        metrics=_METRICS,
        overrides=(
            f"--config.training.num_steps={steps}",
            "--config.training.sample_every=0",
        ),
    )


def bare(root: pathlib.Path, steps: int, seeds: int) -> None:
    """The cells of `question` by the verbs alone, one after the other; nothing is done twice."""
    devices.start()
    mesh, shared = devices.make_mesh(), Shared()
    for cell in cells_of(question(steps, seeds)):
        name = cell.record.workdir
        is_new = not (root / name).exists()
        if is_new:
            train(cell.experiment, Workdir(root / name), mesh, shared=shared)
        overrides = [
            f"--config.sampling.solver={cell.experiment.sampling.solver}",
            f"--config.sampling.corrector={cell.experiment.sampling.corrector}",
        ]
        trained = TrainedModel.open(root / name, overrides, mesh, divergence=True)
        draw(trained, num=cell.experiment.sampling.num, seed=cell.seed, about={})
        if is_new:  # bits/dim follow from the model alone
            measure(trained, trained.dataset("test"), seed=cell.seed)


def _timed(arguments: list[str], cache: pathlib.Path) -> float:
    """The seconds of a command that begins without compiled programs."""
    shutil.rmtree(cache, ignore_errors=True)
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    start = time.perf_counter()
    subprocess.run(arguments, cwd=ROOT, env=env, check=True)
    return time.perf_counter() - start


def _table(folder: pathlib.Path, options: argparse.Namespace, *, kept: bool) -> float:
    """Run the command; its seconds."""
    asked = command(folder, options.steps, options.seeds)
    subprocess.run([*asked, "--plan"], cwd=ROOT, check=True)
    seconds = _timed(asked, folder.with_name("cache"))
    if kept:
        found: dict[str, Any] = {
            "steps": options.steps,
            "seeds": options.seeds,
            "cells": len(AblationFolder(folder).cells),
            "minutes": round(seconds / 60, 2),
            "table": AblationFolder(folder).table(),
        }
        keep("ablation", {"table": found})
    if options.keep:
        shutil.copytree(folder, options.keep)
    return seconds


def _overhead(root: pathlib.Path, options: argparse.Namespace, whole: float) -> None:
    """Run the bare cells, and compare."""
    asked = [sys.executable, "-m", "benchmarks.ablation", f"--bare={root / 'bare'}"]
    asked += [f"--steps={options.steps}", f"--seeds={options.seeds}"]
    cells = _timed(asked, root / "cache")
    found = {
        "steps": options.steps,
        "seeds": options.seeds,
        "minutes": round(whole / 60, 2),
        "minutes_of_bare_cells": round(cells / 60, 2),
        "overhead": round(whole / cells - 1, 4),
    }
    print(f"overhead: {found['overhead']:.1%}")
    keep("ablation", {"overhead": found})


def _kills(root: pathlib.Path, options: argparse.Namespace) -> None:
    """Kill a run, let it go on, and compare its table with the undisturbed one's."""
    whole, killed = root / "whole", root / "killed"
    seconds = _timed(command(whole, options.kill_steps, options.seeds), root / "cache")
    generator = random.Random(_SEED)
    moments = [generator.uniform(0, seconds / options.kills) for _ in range(options.kills)]
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(root / "cache")}
    asked = command(killed, options.kill_steps, options.seeds)
    ended = []
    for moment in moments:
        with subprocess.Popen(asked, cwd=ROOT, env=env) as process:
            time.sleep(moment)
            process.kill()
        results = AblationFolder(killed).results if AblationFolder(killed).is_there else {}
        ended.append(len(results))
    subprocess.run(asked, cwd=ROOT, env=env, check=True)
    same = [(whole / name).read_bytes() == (killed / name).read_bytes() for name in _TABLE]
    found = {
        "steps": options.kill_steps,
        "killed_after_seconds": [round(moment, 1) for moment in moments],
        "cells_ended_by_then": ended,
        "same_files": f"{sum(same)} of {len(same)}",
    }
    print(f"killed {len(moments)} times: {found['same_files']} files of the table are the same")
    keep("ablation", {"kills": found})


if __name__ == "__main__":
    main()
