"""Networks at CIFAR-10's size: speed beside PyTorch, and memory with and without remat.

    python -m benchmarks.networks [--networks=ddpmpp,ncsnpp,dit] [--only=PART,…] [--rounds=5]

forward  (our seconds) / (PyTorch's) of a forward evaluation, and
step     of a training step (loss, gradient, Adam), of the same network at the same batch: the
         median of rounds in turns, after warm-up, each side in a process of its own, which waits
         while the other runs. On the CPU float32, and PyTorch's convolutions channels-last, and
         beside our U-Nets the same with direct convolutions; on a GPU bfloat16 with float32
         parameters (autocast), PyTorch both eager and compiled. And `of_peak`: the operations of
         our training step with direct convolutions, by their shapes (`benchmarks.operations`), a
         second, over those of a large matrix product.
compile  seconds to compile our forward evaluation and our training step, with Winograd's
         convolutions and without.
memory   bytes that the compiled training step takes on one device besides its arguments, with and
         without remat.

Nothing is compiled that no part asked for needs. Takes PyTorch and diffusers for the first two, as
`pip install torch diffusers` installs them. The parts measured go to
benchmarks/results/networks.json (networks_gpu.json on a GPU), each with its machine; the others
stay there as last measured. Their figures go into the docs.
"""

import argparse
import functools
import multiprocessing
import os
import statistics
from multiprocessing.connection import Connection
from typing import Any

import jax

from benchmarks import our_networks
from benchmarks.parts import keep, some_of
from benchmarks.report import here, into_pages, machine
from benchmarks.timing import OF_PEAK, in_turns, ratio
from experiments.runtime import devices

NETWORKS = ("ddpmpp", "ncsnpp", "dit")
TIMED = ("forward", "step")
PARTS = (*TIMED, "compile", "memory")


def serve(pipe: Connection, who: str, name: str, batch: int, dtype: str) -> None:
    """Hold one side's network, and answer with what its method of the asked name returns."""
    side: Any
    if who in ("ours", "direct"):
        devices.start()
        side = our_networks.Ours(name, batch, dtype, direct=who == "direct")
    else:
        from benchmarks import torch_twins  # in this process alone

        shape = our_networks.TRANSFORMER if name == "dit" else our_networks.UNET
        network = getattr(torch_twins, name)(*shape, our_networks.SIZE)
        compiled = who == "pytorch_compiled"
        side = torch_twins.Timed(network, batch, our_networks.SIZE, compiled=compiled)
    for method in iter(pipe.recv, None):
        pipe.send(getattr(side, method)())


class Side:
    """A process that serves."""

    def __init__(self, *about: Any) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        self.process = spawn.Process(target=serve, args=(theirs, *about), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, method: str) -> Any:
        """What the method returns there."""
        self.pipe.send(method)
        return self.pipe.recv()

    def end(self) -> None:
        """Free what it holds."""
        self.pipe.send(None)
        self.process.join()


def measure(
    name: str, batch: int, dtype: str, parts: tuple[str, ...], rounds: int
) -> dict[str, dict[str, Any]]:
    """The parts that are asked for, of one network."""
    timed = [what for what in TIMED if what in parts]
    direct = ["direct"] * (dtype == "float32" and name != "dit")
    others = direct if timed or "compile" in parts else []
    if timed:
        others = ["pytorch", *["pytorch_compiled"] * (dtype == "bfloat16"), *others]
    sides = {who: Side(who, name, batch, dtype) for who in ("ours", *others)}
    rows: dict[str, dict[str, Any]] = {what: against(sides, what, rounds) for what in timed}
    if "compile" in parts:
        kinds = {"used": "ours"} | {kind: kind for kind in direct}
        took = {kind: sides[who].ask("compiling") for kind, who in kinds.items()}
        rows["compile"] = {"seconds": took}
    for who in others:
        sides[who].end()
    if "step" in parts:
        rows["step"] |= of_peak(name, batch, rows["step"]["seconds"]["ours"], sides["ours"])
    if "memory" in parts:
        rows["memory"] = {"gib": sides["ours"].ask("memory")}
    sides["ours"].end()
    return {part: {"batch": batch, "dtype": dtype, **row} for part, row in rows.items()}


def against(sides: dict[str, Side], what: str, rounds: int) -> dict[str, Any]:
    """Seconds of every side, and ours over the others'."""
    calls = {who: functools.partial(side.ask, what) for who, side in sides.items()}
    in_turns(calls, 2)
    took = in_turns(calls, rounds)
    return {
        "parameters": {who: side.ask("parameters") for who, side in sides.items()},
        "seconds": {who: round(statistics.median(took[who]), 5) for who in took},
        "ratio": {who: ratio(took, "ours", who) for who in took if who != "ours"},
        "machine": machine("torch", "diffusers"),
    }


def of_peak(name: str, batch: int, took: float, side: Side) -> dict[str, Any]:
    """The part of a matrix product's rate, and what it is computed from."""
    operations, most = our_networks.step_operations(name, batch), side.ask("peak")
    rate = round(operations / took / most, 3)
    return {"operations": operations, "peak": most, "of_peak": rate, "how": OF_PEAK}


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=NETWORKS, type=some_of(NETWORKS))
    parser.add_argument("--only", default=PARTS, type=some_of(PARTS), metavar="PART,…")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the sides share a GPU
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # compiling is measured
    devices.start()
    accelerated = jax.default_backend() != "cpu"
    batch, dtype = (128, "bfloat16") if accelerated else (16, "float32")
    for name in options.networks:
        rows = measure(name, batch, dtype, options.only, options.rounds)
        print(name, rows, flush=True)
        result = keep(here("networks"), rows, name)
        into_pages(here("networks"), (gpu_table if accelerated else table)(result))
        if accelerated:
            into_pages("networks_headline", headline(result))


def table(networks: dict[str, dict]) -> str:
    """The table of a CPU."""
    lines = [
        "",
        "| network | forward, training step ÷ PyTorch | ÷ the same with direct convolutions "
        "| to compile the step, with direct convolutions | memory a device, with remat |",
        "|---|---|---|---|---|",
    ]
    for name, parts in networks.items():
        took = parts.get("compile", {"seconds": {}})["seconds"].values()
        memory = parts.get("memory", {"gib": {}})["gib"].values()
        cells = [
            name,
            ratios(parts, "pytorch"),
            ratios(parts, "direct"),
            ", ".join(f"{kind['step']:.0f} s" for kind in took),
            ", ".join(f"{value:.2f} GiB" for value in memory),
        ]
        lines.append(f"| {' | '.join(cell or '–' for cell in cells)} |")
    return "\n".join([*lines, ""])


def gpu_table(networks: dict[str, dict]) -> str:
    """The table of a GPU."""
    lines = [
        "",
        "| network | forward, training step | ÷ PyTorch, eager | ÷ `torch.compile` "
        "| of a matrix product's rate | on, with jax, PyTorch |",
        "|---|---|---|---|---|---|",
    ]
    for name, parts in networks.items():
        timed = [parts[what] for what in TIMED if what in parts]
        where = [part["machine"] for part in timed][-1:]
        cells = [
            name,
            ", ".join(f"{1000 * part['seconds']['ours']:.1f} ms" for part in timed),
            ratios(parts, "pytorch"),
            ratios(parts, "pytorch_compiled"),
            ", ".join(f"{part['of_peak']:.2f}" for part in timed if "of_peak" in part),
            ", ".join(f"{one['device']}, {one['jax']}, {one['torch']}" for one in where),
        ]
        lines.append(f"| {' | '.join(cell or '–' for cell in cells)} |")
    return "\n".join([*lines, ""])


def headline(networks: dict[str, dict]) -> str:
    """Each network's training step on a GPU beside PyTorch's."""
    steps = {name: parts["step"] for name, parts in networks.items() if "step" in parts}
    return "; ".join(
        f"a training step of {name} at batch {step['batch']} in {step['dtype']} on one "
        f"{step['machine']['device']}: {step['ratio']['pytorch']['median']:.2f} of PyTorch's eager "
        f"one, {step['ratio']['pytorch_compiled']['median']:.2f} of `torch.compile`'s"
        for name, step in steps.items()
    )


def ratios(parts: dict[str, dict], other: str) -> str:
    """Ours over another side's, of what has been timed beside it."""
    found = [parts.get(what, {"ratio": {}})["ratio"].get(other) for what in TIMED]
    return ", ".join(f"{one['median']:.2f}" for one in found if one)


if __name__ == "__main__":
    main()
