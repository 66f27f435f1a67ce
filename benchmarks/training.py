"""What training costs beyond its compiled step: time, waiting for data, memory.

    python -m benchmarks.training [--only=PART,…]

resident, streamed  (seconds a step inside `train`) / (seconds of the bare compiled step), data on
                    the device and streamed from folders of PNG files: medians of runs in turns,
                    after warm-up.
per_call            seconds a step of the bare step, by updates in one compiled call.
memory              resident memory of the host over 10,000 steps of a small run, every 500.
ddpmpp, ncsnpp      as the first, of CIFAR-10's networks, one run each: images/s inside `train`, and
                    the operations a second of the bare step with direct convolutions, by their
                    shapes (`benchmarks.operations`), over those of a large matrix product. float32
                    on the CPU, bfloat16 elsewhere. Not measured unless asked for.

The parts measured go to benchmarks/results/training.json (training_gpu.json on a GPU), each with
its machine; the others stay there as last measured. On the CPU the figures go into the docs and
the curve of memory to docs/training_memory.png.
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

from benchmarks.operations import operations
from benchmarks.parts import keep, some_of
from benchmarks.report import ROOT, here, into_pages
from benchmarks.timing import OF_PEAK, in_turns, peak, ratio
from experiments.builders.model import build_network
from experiments.config_schema.flags import load_experiment
from experiments.config_schema.sections import Experiment
from experiments.data import Batch, Split
from experiments.runtime import devices
from experiments.runtime.devices import make_mesh
from experiments.state.train_state import TrainState, abstract_state, init_state
from experiments.training.input_pipeline import InputPipeline, OnDevice, Streaming
from experiments.training.setup import make_objective, prepare
from experiments.training.step import make_train_step, steps_per_call
from experiments.training.train import train
from experiments.workdir.folder import Workdir
from experiments.workdir.metrics import read_metrics

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
LOOPS: dict[str, list[str]] = {"resident": [], "streamed": ["--config.data.stream=True"]}
NETWORKS = {"ddpmpp": "vp", "ncsnpp": "ve"}
"""By the SDE whose published config has it."""
TOY = ["--config.training.log_every=500", "--config.training.save_every=1000"]


def main() -> None:
    """Measure, draw, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default, names = (*LOOPS, "per_call", "memory"), (*LOOPS, "per_call", "memory", *NETWORKS)
    parser.add_argument("--only", default=default, type=some_of(names), metavar="PART,…")
    parts = parser.parse_args().only
    devices.start()
    with tempfile.TemporaryDirectory() as folder:
        images = images_in(pathlib.Path(folder) / "images")
        for part in parts:
            row = measure(part, images, pathlib.Path(folder))
            print(part, row, flush=True)
            result = keep(here("training"), {part: row})
    if here("training") == "training":
        into_pages("training", words(result))
        draw(result["memory"]["gib"])


def measure(part: str, images: pathlib.Path, folder: pathlib.Path) -> dict[str, Any]:
    """One part alone."""
    small = [*SMALL, f"--config.data.source=folder:{images}"]
    if part in LOOPS:
        return loop(load_experiment("cifar10:vp,small", small + LOOPS[part]), folder / part, ROUNDS)
    if part == "per_call":
        return {"seconds": {count: bare_seconds(per_call(small, count), 10) for count in (1, 5)}}
    if part == "memory":
        return {"gib": host_memory()}
    return network(NETWORKS[part], images, folder / part)


def words(result: dict) -> str:
    """The docs' line."""
    ratios = {name: result[name]["ratio"]["median"] for name in LOOPS}
    parts = ", ".join(f"{value:.3f} ({name})" for name, value in ratios.items())
    memory = [gib for _, gib in result["memory"]["gib"]]
    return f"{parts}; host memory from {memory[0]:.2f} to {memory[-1]:.2f} GiB over 10,000 steps"


def images_in(folder: pathlib.Path, num: int = 2000) -> pathlib.Path:
    """PNG files of 32 × 32 random pixels."""
    folder.mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (num, 32, 32, 3), "uint8")):
        Image.fromarray(image).save(folder / f"{i:05d}.png")
    return folder


def per_call(arguments: list[str], count: int) -> Experiment:
    """The small network with several updates in one call."""
    more = [f"--config.training.steps_per_call={count}"]
    return load_experiment("cifar10:vp,small", arguments + more)


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
    step, state, pipeline, block = bare(experiment)
    state, metrics = step(state, pipeline.examples, block)
    jax.block_until_ready(metrics)
    start = time.perf_counter()
    updates = len(jax.tree.leaves(block)[0])
    calls = steps // updates
    for _ in range(calls):
        state, metrics = step(state, pipeline.examples, block)
    jax.block_until_ready(metrics)
    pipeline.close()
    return (time.perf_counter() - start) / (calls * updates)


def bare(experiment: Experiment) -> tuple[Any, TrainState, InputPipeline, Any]:
    """The compiled step and what it is called with."""
    mesh, config = make_mesh(), experiment.training
    prepared = prepare(experiment, Workdir("nowhere"), mesh)
    network, data, size = prepared.network, prepared.train_split, config.batch_size
    step = make_train_step(config, prepared.objective, network, mesh)
    state = init_state(experiment, network, data.shape, mesh)
    if prepared.resident_split is not None:
        pipeline: InputPipeline = OnDevice(prepared.resident_split, False, 0, size, 0, mesh)
    else:
        pipeline = Streaming(data, False, experiment.data, 0, size, 0, mesh)
    return step, state, pipeline, pipeline.read(steps_per_call(config))


def trainer_seconds(experiment: Experiment, folder: pathlib.Path) -> float:
    """Of a step, by the lines of metrics after the first, which has waited for the compiler."""
    workdir = Workdir(folder)
    train(experiment, workdir, make_mesh())
    lines = read_metrics(workdir.metrics)[1:]
    rate = statistics.mean(line["images_per_second"] for line in lines)
    return experiment.training.batch_size / rate


def host_memory() -> list[tuple[int, float]]:
    """(step, GiB) of a small run: of points, so that many steps take little time."""
    experiment = load_experiment("toy2d", ["--config.training.num_steps=10000", *TOY])
    with tempfile.TemporaryDirectory() as folder:
        workdir = Workdir(f"{folder}/run")
        train(experiment, workdir, make_mesh())
        return [(line["step"], line["memory_gib"]) for line in read_metrics(workdir.metrics)]


def network(sde: str, images: pathlib.Path, folder: pathlib.Path) -> dict[str, Any]:
    """At the published size."""
    accelerated = jax.default_backend() != "cpu"
    batch, dtype, steps = (128, "bfloat16", 60) if accelerated else (8, "float32", 14)
    experiment = load_experiment(
        f"cifar10:{sde}",
        [
            f"--config.data.source=folder:{images}",
            f"--config.training.batch_size={batch}",
            f"--config.model.dtype={dtype}",
            f"--config.training.num_steps={steps}",
            f"--config.training.log_every={steps // 2}",
            "--config.training.sample_every=0",
        ],
    )
    result = loop(experiment, folder, rounds=1)
    count, most = step_operations(sde, batch), peak(dtype)
    rate = round(count / result["bare_seconds"] / most, 3)
    about = {"batch": batch, "dtype": dtype, "operations": count, "peak": most}
    return about | result | {"of_peak": rate, "how": OF_PEAK}


def step_operations(sde: str, batch: int) -> int:
    """Of an update of CIFAR-10's network with direct convolutions and plain attention."""
    plain = ["--config.model.convolution=xla", "--config.model.attention=xla"]
    experiment, mesh, shape = load_experiment(f"cifar10:{sde}", plain), make_mesh(1), (32, 32, 3)
    net = build_network(experiment.model, training=True)
    objective = make_objective(
        experiment, net, Split.of(np.zeros((2, *shape), "uint8"), levels=256)
    )
    step = make_train_step(experiment.training, objective, net, mesh)
    rows = Batch(jax.ShapeDtypeStruct((1, batch, *shape), "uint8"))
    return operations(step, abstract_state(experiment, net, shape, mesh), None, rows)


def draw(memory: list[tuple[int, float]]) -> None:
    """The curve."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*memory, strict=True))
    axes.set(xlabel="training step", ylabel="host memory (GiB)", ylim=(0, None))
    figure.savefig(ROOT / "docs" / "training_memory.png", dpi=100)


if __name__ == "__main__":
    main()
