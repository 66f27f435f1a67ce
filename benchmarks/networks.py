"""Networks at CIFAR-10's size: speed beside PyTorch, and memory with and without remat.

    python -m benchmarks.networks [--networks=ddpmpp,ncsnpp,dit] [--rounds=5]

speed    (our seconds) / (PyTorch's) of a forward evaluation and of a training step (loss, gradient,
         Adam) of the same network at the same batch: the median of rounds in turns, after warm-up,
         each side in a process of its own, which waits while the other runs. On the CPU float32,
         and PyTorch's convolutions channels-last, and beside our U-Nets the same with direct
         convolutions; on a GPU bfloat16 with float32 parameters (autocast), PyTorch both eager and
         compiled.
of_peak  operations a second of our training step, those of the direct convolutions, over those of
         a large matrix product; of the U-Nets.
memory   bytes that the compiled training step takes on one device besides its arguments, with and
         without remat.
compile  seconds to compile our forward evaluation and our training step, with Winograd's
         convolutions and without.

Takes PyTorch and diffusers, as `pip install torch diffusers` installs them. The result goes to
benchmarks/results/networks.json (networks_gpu.json on a GPU), its figures into the README.
"""

import argparse
import functools
import importlib.metadata
import json
import multiprocessing
import os
import statistics
from multiprocessing.connection import Connection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.report import RESULTS, into_readme, save
from benchmarks.timing import in_turns, peak, ratio, seconds
from experiments import devices
from experiments.devices import compiler_options, make_mesh, put, replicated, sharded
from models import DiT, NCSNpp, init_params

SIZE, NF, BLOCKS = 32, 128, 4
WIDTH, DEPTH, HEADS, PATCH = 384, 12, 6, 2


def ours(name: str, dtype: str, *, remat: bool = False, direct: bool = False) -> nn.Module:
    """Our network, as the commands make it on this platform; or with direct convolutions."""
    cpu = jax.default_backend() == "cpu"
    attention = "cudnn" if dtype == "bfloat16" and not cpu else "xla"
    common: Any = {"dtype": dtype, "remat": remat, "attention": attention}
    if name == "dit":
        return DiT(width=WIDTH, depth=DEPTH, head_dim=WIDTH // HEADS, patch_size=PATCH, **common)
    if name == "ncsnpp":
        # What the published 256-pixel network has, which is what diffusers has of it.
        common |= {"fir": True, "progressive": "output_skip", "progressive_input": "input_skip"}
        common |= {"embedding": "fourier"}
    common |= {"convolution": "winograd_vjp" if cpu and not direct else "xla"}
    return NCSNpp(nf=NF, num_res_blocks=BLOCKS, dropout=0.0, **common)


class Ours:
    """A network of ours with its forward evaluation and its training step."""

    def __init__(self, name: str, batch: int, dtype: str, **fields: bool) -> None:
        self._about = name, batch, dtype
        network, mesh = ours(name, dtype, **fields), make_mesh()
        random = np.random.default_rng(0)
        images = random.standard_normal((2, batch, SIZE, SIZE, 3), "float32")
        self._x, self._target = put(tuple(images), sharded(mesh))
        self._c = put(random.uniform(0.1, 4, batch).astype("float32"), sharded(mesh))
        optimizer = optax.adam(2e-4)

        def apply(params: Any, x: jax.Array, c: jax.Array) -> jax.Array:
            return network.apply({"params": params}, x, c)

        def step(state: Any, x: jax.Array, c: jax.Array, target: jax.Array) -> tuple[Any, Any]:
            params, moments = state

            def loss(params: Any) -> jax.Array:
                return jnp.square(apply(params, x, c) - target).mean()

            value, gradient = jax.value_and_grad(loss)(params)
            updates, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(params, updates), moments), value

        params = init_params(jax.random.key(0), network, (SIZE, SIZE, 3))
        self._state = put((params, optimizer.init(params)), replicated(mesh))
        jitted = jax.jit(step, donate_argnums=0, compiler_options=compiler_options())
        self._lowered = {
            "forward": jax.jit(apply).lower(params, self._x, self._c),
            "step": jitted.lower(self._state, self._x, self._c, self._target),
        }

    @functools.cached_property
    def _programs(self) -> dict[str, Any]:
        return {what: lowered.compile() for what, lowered in self._lowered.items()}

    def parameters(self) -> int:
        """Their number."""
        return sum(leaf.size for leaf in jax.tree.leaves(self._state[0]))

    def forward(self) -> float:
        """Seconds."""
        program = self._programs["forward"]
        return seconds(lambda: program(self._state[0], self._x, self._c).block_until_ready())

    def step(self) -> float:
        """Seconds."""
        program = self._programs["step"]

        def run() -> None:
            self._state, loss = program(self._state, self._x, self._c, self._target)
            loss.block_until_ready()

        return seconds(run)

    def memory(self) -> dict[str, float]:
        """GiB of a step on one device besides its arguments."""
        kinds = {"plain": self, "remat": Ours(*self._about, remat=True)}
        kept = {
            kind: network._programs["step"].memory_analysis() for kind, network in kinds.items()
        }
        return {kind: round(one.temp_size_in_bytes / 2**30, 3) for kind, one in kept.items()}

    def compiling(self) -> dict[str, dict[str, float]]:
        """Seconds to compile, as the commands compute the convolutions and directly."""
        kinds = {"used": Ours(*self._about), "direct": Ours(*self._about, direct=True)}
        return {
            kind: {
                what: round(seconds(lowered.compile), 1)
                for what, lowered in network._lowered.items()
            }
            for kind, network in kinds.items()
        }

    def rates(self) -> tuple[float, float]:
        """Operations of a step with direct convolutions, and the machine's in a second."""
        counted = Ours(*self._about, direct=True)._lowered["step"].cost_analysis()
        return counted["flops"], peak(self._about[2])


def serve(pipe: Connection, who: str, name: str, batch: int, dtype: str) -> None:
    """Hold one side's network, and answer with what its method of the asked name returns."""
    side: Any
    if who in ("ours", "direct"):
        devices.start()
        side = Ours(name, batch, dtype, direct=who == "direct")
    else:
        from benchmarks import torch_twins  # in this process alone

        if name == "dit":
            network = torch_twins.dit(WIDTH, DEPTH, HEADS, PATCH, SIZE)
        else:
            network = getattr(torch_twins, name)(NF, BLOCKS, SIZE)
        side = torch_twins.Timed(network, batch, SIZE, compiled=who == "pytorch_compiled")
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


def measure(name: str, batch: int, dtype: str, rounds: int) -> dict[str, Any]:
    """Of one network."""
    names = ["ours", "pytorch"]
    if dtype == "bfloat16":
        names.append("pytorch_compiled")
    elif name != "dit":
        names.append("direct")
    sides = {who: Side(who, name, batch, dtype) for who in names}
    counts = {who: side.ask("parameters") for who, side in sides.items()}
    row: dict[str, Any] = {"batch": batch, "dtype": dtype, "parameters": counts}
    for what in ("forward", "step"):
        calls = {who: functools.partial(side.ask, what) for who, side in sides.items()}
        in_turns(calls, 2)
        took = in_turns(calls, rounds)
        row[what] = {
            "seconds": {who: round(statistics.median(took[who]), 5) for who in took},
            "ratio": {who: ratio(took, "ours", who) for who in took if who != "ours"},
        }
    for who in names[1:]:
        sides[who].end()
    if name != "dit":  # XLA counts the operations of a loop once, whatever its length
        operations, most = sides["ours"].ask("rates")
        row["of_peak"] = round(operations / row["step"]["seconds"]["ours"] / most, 3)
        row["compile_seconds"] = sides["ours"].ask("compiling")
    row["memory_gib"] = sides["ours"].ask("memory")
    sides["ours"].end()
    return row


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--networks", default="ddpmpp,ncsnpp,dit", help="the rest stays as last measured"
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # the sides share a GPU
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # compiling is measured
    devices.start()
    accelerated = jax.default_backend() != "cpu"
    batch, dtype = (128, "bfloat16") if accelerated else (16, "float32")
    result_name = "networks_gpu" if accelerated else "networks"
    before = RESULTS / f"{result_name}.json"
    rows = json.loads(before.read_text(encoding="utf-8"))["networks"] if before.exists() else {}
    for name in options.networks.split(","):
        rows[name] = measure(name, batch, dtype, options.rounds)
        print(name, rows[name], flush=True)
    result = {"networks": rows, "torch": importlib.metadata.version("torch")}
    save(result_name, result)
    if not accelerated:
        into_readme("networks", table(rows))


def table(rows: dict[str, dict]) -> str:
    """The README's."""
    lines = [
        "",
        "| network | forward, training step ÷ PyTorch | ÷ the same with direct convolutions "
        "| to compile the step, with direct convolutions | memory a device, with remat |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cells = [name]
        for other in ("pytorch", "direct"):
            ratios = [row[what]["ratio"].get(other) for what in ("forward", "step")]
            cells.append(", ".join(f"{value['median']:.2f}" for value in ratios if value))
        took = [kind["step"] for kind in row.get("compile_seconds", {}).values()]
        cells.append(", ".join(f"{value:.0f} s" for value in took))
        cells.append(", ".join(f"{value:.2f} GiB" for value in row["memory_gib"].values()))
        lines.append(f"| {' | '.join(cell or '–' for cell in cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
