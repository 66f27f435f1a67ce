"""What training costs beyond its compiled step: time, waiting for data, memory.

    python -m benchmarks.training [--networks]

loop      (seconds a step inside `train`) / (seconds of the bare compiled step), data on the device
          and streamed from folders of PNG files, at several numbers of updates a call: medians of
          runs in turns, after warm-up.
memory    resident memory of the host over 10,000 steps of a small run, every 500.
networks  images/s of one compiled step of CIFAR-10's DDPM++ and NCSN++: float32 on the CPU,
          bfloat16 elsewhere.

The result goes to benchmarks/results/training.json, its figures into the README and the curve to
docs/training_memory.png.
"""

import argparse
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
from experiments import build, devices, flags, progress_line
from experiments.config import resolve
from experiments.devices import make_mesh, put, sharded
from experiments.feed import Feed, Resident, Streamed
from experiments.metrics import read_metrics
from experiments.preparation import prepare
from experiments.sections import Experiment
from experiments.train import train
from experiments.training import init_state, make_train_step
from experiments.workdir import Workdir

ROUNDS, STEPS, BATCH = 3, 30, 8
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
TOY = ["--config.training.log_every=100", "--config.training.save_every=1000"]


def main() -> None:
    """Measure, draw, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", action="store_true", help="those of CIFAR-10 as well")
    options = parser.parse_args()
    devices.start()
    result: dict[str, Any] = {"loop": {}, "memory_gib": host_memory()}
    with tempfile.TemporaryDirectory() as folder:
        images = images_in(pathlib.Path(folder) / "images")
        for kind, more in {"resident": [], "streamed": ["--config.data.stream=True"]}.items():
            # On the CPU gradients of convolutions are many times slower inside a loop.
            scans = kind == "resident" and jax.default_backend() != "cpu"
            for per_call in (1, 5) if scans else (1,):
                arguments = [*SMALL, f"--config.data.source=folder:{images}", *more]
                arguments.append(f"--config.training.steps_per_call={per_call}")
                name = f"{kind}, {per_call} a call"
                result["loop"][name] = loop(arguments, pathlib.Path(folder), name)
                print(name, result["loop"][name], flush=True)
    if options.networks:
        result["networks"] = {name: network(name) for name in ("ddpmpp", "ncsnpp")}
    save("training", result)
    draw(result["memory_gib"])
    into_readme("training", words(result))


def words(result: dict) -> str:
    """The README's line."""
    ratios = {name: row["ratio"] for name, row in result["loop"].items()}
    parts = ", ".join(f"{ratio:.3f} ({name})" for name, ratio in ratios.items())
    memory = [gib for _, gib in result["memory_gib"]]
    return f"{parts}; host memory from {memory[1]:.2f} to {memory[-1]:.2f} GiB over 10,000 steps"


def images_in(folder: pathlib.Path, num: int = 2000) -> pathlib.Path:
    """PNG files of 32 × 32 random pixels."""
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (num, 32, 32, 3), "uint8")):
        Image.fromarray(image).save(folder / f"{i:05d}.png")
    return folder


def experiment_of(config: str, arguments: list[str]) -> Experiment:
    """A packaged config with flags."""
    return resolve(flags.override(flags.load_config(config), arguments))


def loop(arguments: list[str], folder: pathlib.Path, name: str) -> dict[str, Any]:
    """The trainer's step over the bare one's, in turns: which goes first alternates."""
    experiment = experiment_of("cifar10_ddpmpp:small", arguments)
    measures = {
        "bare": lambda turn: bare_seconds(experiment),
        "trainer": lambda turn: trainer_seconds(experiment, folder / f"{name}-{turn}"),
    }
    seconds: dict[str, list[float]] = {"bare": [], "trainer": []}
    for turn in range(ROUNDS):
        for which in sorted(measures, reverse=bool(turn % 2)):
            seconds[which].append(measures[which](turn))
    ratios = [b / a for a, b in zip(seconds["bare"], seconds["trainer"], strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 4),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "bare_seconds": round(statistics.median(seconds["bare"]), 5),
        "images_per_second": round(BATCH / statistics.median(seconds["trainer"]), 1),
    }


def bare_seconds(experiment: Experiment) -> float:
    """Of a step, called one after the other with one batch that is on the devices."""
    mesh, config = make_mesh(), experiment.training
    prepared = prepare(experiment, Workdir("nowhere"), mesh)
    network, data = prepared.network, prepared.lazy
    step = make_train_step(experiment, build.sde(experiment.sde), network, data.levels, mesh)
    state = init_state(experiment, network, data.shape, mesh)
    count = config.steps_per_call or 1
    if prepared.dataset is not None:
        feed: Feed = Resident(prepared.dataset, 0, BATCH, 0, mesh)
    else:
        feed = Streamed(data, experiment.data, 0, BATCH, 0, mesh)
    block = feed.read(count)
    state, metrics = step(state, feed.values, block)
    jax.block_until_ready(metrics)
    start = time.perf_counter()
    for _ in range(STEPS // count):
        state, metrics = step(state, feed.values, block)
    jax.block_until_ready(metrics)
    feed.close()
    return (time.perf_counter() - start) / STEPS


def trainer_seconds(experiment: Experiment, folder: pathlib.Path) -> float:
    """Of a step, by the lines of metrics after the first, which has waited for the compiler."""
    workdir = Workdir(folder)
    train(experiment, workdir, make_mesh())
    lines = read_metrics(workdir.metrics)[1:]
    return BATCH / statistics.mean(line["images_per_second"] for line in lines)


def host_memory() -> list[tuple[int, float]]:
    """(step, GiB) of a small run: of points, so that many steps take little time."""
    experiment = experiment_of("toy2d", ["--config.training.num_steps=10000", *TOY])
    seen: list[tuple[int, float]] = []
    read = Resident.read

    def reading(self: Resident, count: int) -> jax.Array:
        step = len(seen_steps)
        seen_steps.append(step)
        if step % 500 == 0:
            seen.append((step, (progress_line.memory_in_use([]) or 0) / 2**30))
        return read(self, count)

    seen_steps: list[int] = []
    Resident.read = reading  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(experiment, Workdir(f"{folder}/run"), make_mesh())
    finally:
        Resident.read = read  # type: ignore[method-assign]
    return seen


def network(name: str) -> dict[str, Any]:
    """Images/s of the compiled step at the published size."""
    accelerated = jax.default_backend() != "cpu"
    batch, dtype = (128, "bfloat16") if accelerated else (8, "float32")
    experiment = experiment_of(
        f"cifar10_{name}",
        [f"--config.training.batch_size={batch}", f"--config.model.dtype={dtype}"],
    )
    mesh = make_mesh()
    net = build.network(experiment.model)
    step = make_train_step(experiment, build.sde(experiment.sde), net, 256, mesh)
    state = init_state(experiment, net, (32, 32, 3), mesh)
    block = put(np.zeros((1, batch, 32, 32, 3), np.uint8), sharded(mesh, axis=1))
    began = time.perf_counter()
    state, metrics = step(state, None, block)
    jax.block_until_ready(metrics)
    compiled, seconds = time.perf_counter() - began, []
    for _ in range(5):
        start = time.perf_counter()
        state, metrics = step(state, None, block)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - start)
    rate = batch / statistics.median(seconds)
    return {"batch": batch, "dtype": dtype, "images_per_second": rate, "first_seconds": compiled}


def draw(memory: list[tuple[int, float]]) -> None:
    """The curve."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*memory, strict=True))
    axes.set(xlabel="training step", ylabel="host memory (GiB)", ylim=(0, None))
    figure.savefig(ROOT / "docs" / "training_memory.png", dpi=100)


if __name__ == "__main__":
    main()
