"""What training costs beyond its compiled step: time, waiting for data, memory.

    python -m benchmarks.training [--networks]

loop      (seconds a step inside `train`) / (seconds of the bare compiled step), data on the device
          and streamed from folders of PNG files: medians of runs in turns, after warm-up.
per_call  seconds a step of the bare step, by updates in one compiled call.
memory    resident memory of the host over 10,000 steps of a small run, every 500.
networks  images/s of CIFAR-10's DDPM++ and NCSN++ inside `train`, over the bare step's, and the
          bare step's part of the rate of a large matrix product: float32 on the CPU, bfloat16
          elsewhere.

The result goes to benchmarks/results/training.json, its figures into the README and the curve to
docs/training_memory.png.
"""

import argparse
import itertools
import pathlib
import statistics
import tempfile
import time
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.report import ROOT, into_readme, save
from benchmarks.timing import in_turns, peak, ratio
from experiments import build, devices, flags
from experiments.config import resolve
from experiments.devices import make_mesh
from experiments.feed import Feed, Resident, Streamed
from experiments.metrics import read_metrics
from experiments.preparation import prepare
from experiments.sections import Experiment
from experiments.train import train
from experiments.training import TrainState, init_state, make_train_step
from experiments.workdir import Workdir

ROUNDS, STEPS, BATCH = 5, 100, 8
SMALL = [
    "--config.model.nf=16",
    "--config.model.ch_mult=(1,2)",
    "--config.model.num_res_blocks=1",
    "--config.model.attn_resolutions=()",
    f"--config.training.batch_size={BATCH}",
    f"--config.training.num_steps={STEPS + 20}",
    "--config.training.log_every=10",
    "--config.training.sample_every=0",
    "--config.training.save_every=1000000",
]
TOY = ["--config.training.log_every=500", "--config.training.save_every=1000"]


def main() -> None:
    """Measure, draw, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", action="store_true", help="those of CIFAR-10 as well")
    options = parser.parse_args()
    devices.start()
    result: dict[str, Any] = {"loop": {}, "memory_gib": host_memory()}
    with tempfile.TemporaryDirectory() as folder:
        images = images_in(pathlib.Path(folder) / "images")
        small = [*SMALL, f"--config.data.source=folder:{images}"]
        for kind, more in {"resident": [], "streamed": ["--config.data.stream=True"]}.items():
            experiment = experiment_of("cifar10:vp,small", small + more)
            result["loop"][kind] = loop(experiment, pathlib.Path(folder) / kind, ROUNDS)
            print(kind, result["loop"][kind], flush=True)
        result["per_call"] = {count: bare_seconds(per_call(small, count), 10) for count in (1, 5)}
        print(result["per_call"], flush=True)
        if options.networks:
            result["networks"] = {sde: network(sde, images) for sde in ("vp", "ve")}
    save("training", result)
    draw(result["memory_gib"])
    into_readme("training", words(result))


def words(result: dict) -> str:
    """The README's line."""
    ratios = {name: row["ratio"]["median"] for name, row in result["loop"].items()}
    parts = ", ".join(f"{value:.3f} ({name})" for name, value in ratios.items())
    memory = [gib for _, gib in result["memory_gib"]]
    return f"{parts}; host memory from {memory[0]:.2f} to {memory[-1]:.2f} GiB over 10,000 steps"


def images_in(folder: pathlib.Path, num: int = 2000) -> pathlib.Path:
    """PNG files of 32 × 32 random pixels."""
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (num, 32, 32, 3), "uint8")):
        Image.fromarray(image).save(folder / f"{i:05d}.png")
    return folder


def experiment_of(config: str, arguments: list[str]) -> Experiment:
    """A packaged config with flags."""
    return resolve(flags.override(flags.load_config(config), arguments))


def per_call(arguments: list[str], count: int) -> Experiment:
    """The small network with several updates in one call."""
    more = [f"--config.training.steps_per_call={count}"]
    return experiment_of("cifar10:vp,small", arguments + more)


def loop(experiment: Experiment, folder: pathlib.Path, rounds: int) -> dict[str, Any]:
    """The trainer's step over the bare one's, in turns: which goes first alternates."""
    turns = itertools.count()
    took = in_turns(
        {
            "bare": lambda: bare_seconds(experiment, experiment.training.num_steps - 10),
            "trainer": lambda: trainer_seconds(experiment, folder / str(next(turns))),
        },
        rounds,
    )
    rate = experiment.training.batch_size / statistics.median(took["trainer"])
    return {
        "ratio": ratio(took, "trainer", "bare"),
        "bare_seconds": round(statistics.median(took["bare"]), 5),
        "images_per_second": round(rate, 2),
    }


def bare_seconds(experiment: Experiment, steps: int) -> float:
    """Of a step, called one after the other with one batch that is on the devices."""
    step, state, feed, block = bare(experiment)
    state, metrics = step(state, feed.values, block)
    jax.block_until_ready(metrics)
    start = time.perf_counter()
    calls = steps // len(block)
    for _ in range(calls):
        state, metrics = step(state, feed.values, block)
    jax.block_until_ready(metrics)
    feed.close()
    return (time.perf_counter() - start) / (calls * len(block))


def bare(experiment: Experiment) -> tuple[Any, TrainState, Feed, jax.Array]:
    """The compiled step and what it is called with."""
    mesh, config = make_mesh(), experiment.training
    prepared = prepare(experiment, Workdir("nowhere"), mesh)
    network, data = prepared.network, prepared.lazy
    step = make_train_step(experiment, build.sde(experiment.sde), network, data.levels, mesh)
    state = init_state(experiment, network, data.shape, mesh)
    if prepared.dataset is not None:
        feed: Feed = Resident(prepared.dataset, 0, config.batch_size, 0, mesh)
    else:
        feed = Streamed(data, experiment.data, 0, config.batch_size, 0, mesh)
    return step, state, feed, feed.read(config.steps_per_call or 1)


def trainer_seconds(experiment: Experiment, folder: pathlib.Path) -> float:
    """Of a step, by the lines of metrics after the first, which has waited for the compiler."""
    workdir = Workdir(folder)
    train(experiment, workdir, make_mesh())
    lines = read_metrics(workdir.metrics)[1:]
    rate = statistics.mean(line["images_per_second"] for line in lines)
    return experiment.training.batch_size / rate


def host_memory() -> list[tuple[int, float]]:
    """(step, GiB) of a small run: of points, so that many steps take little time."""
    experiment = experiment_of("toy2d", ["--config.training.num_steps=10000", *TOY])
    with tempfile.TemporaryDirectory() as folder:
        workdir = Workdir(f"{folder}/run")
        train(experiment, workdir, make_mesh())
        return [(line["step"], line["memory_gib"]) for line in read_metrics(workdir.metrics)]


def network(sde: str, images: pathlib.Path) -> dict[str, Any]:
    """At the published size: DDPM++ for VP, NCSN++ for VE."""
    accelerated = jax.default_backend() != "cpu"
    batch, dtype, steps = (128, "bfloat16", 60) if accelerated else (8, "float32", 14)
    arguments = [
        f"--config.data.source=folder:{images}",
        f"--config.training.batch_size={batch}",
        f"--config.model.dtype={dtype}",
        f"--config.training.num_steps={steps}",
        f"--config.training.log_every={steps // 2}",
        "--config.training.sample_every=0",
    ]
    experiment = experiment_of(f"cifar10:{sde}", arguments)
    step, state, feed, block = bare(experiment)
    flops = step.lower(state, feed.values, block).compile().cost_analysis()["flops"] / len(block)
    feed.close()
    with tempfile.TemporaryDirectory() as folder:
        result = loop(experiment, pathlib.Path(folder), rounds=1)
    rate = flops * jax.device_count() / result["bare_seconds"]
    return {"batch": batch, "dtype": dtype, **result, "of_peak": round(rate / peak(dtype), 3)}


def draw(memory: list[tuple[int, float]]) -> None:
    """The curve."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*memory, strict=True))
    axes.set(xlabel="training step", ylabel="host memory (GiB)", ylim=(0, None))
    figure.savefig(ROOT / "docs" / "training_memory.png", dpi=100)


if __name__ == "__main__":
    main()
