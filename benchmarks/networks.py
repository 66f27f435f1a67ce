"""Networks at CIFAR-10's size: speed beside PyTorch, and memory with and without remat.

    python -m benchmarks.networks [--networks=ddpmpp,ncsnpp,dit] [--rounds=5]

speed    (our seconds) / (PyTorch's) of a forward evaluation and of a training step (loss, gradient,
         Adam) of the same network at the same batch: the median of rounds in turns, after warm-up.
         On the CPU float32, and PyTorch's convolutions channels-last; on a GPU bfloat16 with
         float32 parameters (autocast), PyTorch both eager and compiled.
of_peak  operations a second of our training step over those of a large matrix product; of the
         U-Nets.
memory   bytes that the compiled training step takes on one device besides its arguments, with and
         without remat.

Takes PyTorch and diffusers, as `pip install torch diffusers` installs them. The result goes to
benchmarks/results/networks.json (networks_gpu.json on a GPU), its figures into the README.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks import torch_twins
from benchmarks.report import into_readme, save
from benchmarks.timing import in_turns, peak, ratio, seconds
from experiments import devices
from experiments.devices import compiler_options, make_mesh, put, replicated, sharded
from models import DiT, NCSNpp, init_params

SIZE, NF, BLOCKS = 32, 128, 4
WIDTH, DEPTH, HEADS, PATCH = 384, 12, 6, 2


def ours(name: str, dtype: str, remat: bool = False) -> nn.Module:
    """Our network."""
    attention = "cudnn" if dtype == "bfloat16" and jax.default_backend() == "gpu" else "xla"
    common: Any = {"dtype": dtype, "remat": remat, "attention": attention}
    if name == "dit":
        return DiT(width=WIDTH, depth=DEPTH, head_dim=WIDTH // HEADS, patch_size=PATCH, **common)
    if name == "ncsnpp":
        # What the published 256-pixel network has, which is what diffusers has of it.
        common |= {"fir": True, "progressive": "output_skip", "progressive_input": "input_skip"}
        common |= {"embedding": "fourier"}
    return NCSNpp(nf=NF, num_res_blocks=BLOCKS, dropout=0.0, **common)


def twin(name: str) -> torch.nn.Module:
    """PyTorch's."""
    if name == "dit":
        return torch_twins.dit(WIDTH, DEPTH, HEADS, PATCH, SIZE)
    return {"ddpmpp": torch_twins.ddpmpp, "ncsnpp": torch_twins.ncsnpp}[name](NF, BLOCKS, SIZE)


class Ours:
    """A network with its forward evaluation and its training step, compiled."""

    def __init__(self, name: str, batch: int, dtype: str, remat: bool = False) -> None:
        network, mesh = ours(name, dtype, remat), make_mesh()
        random = np.random.default_rng(0)
        images = random.standard_normal((2, batch, SIZE, SIZE, 3), "float32")
        self.x, self.target = put(tuple(images), sharded(mesh))
        self.c = put(random.uniform(0.1, 4, batch).astype("float32"), sharded(mesh))
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

        params = jax.jit(lambda key: init_params(key, network, (SIZE, SIZE, 3)))(jax.random.key(0))
        self.state = put((params, optimizer.init(params)), replicated(mesh))
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
        self._forward = jax.jit(apply)
        compiled = jax.jit(step, donate_argnums=0, compiler_options=compiler_options())
        self.program = compiled.lower(self.state, self.x, self.c, self.target).compile()

    def forward(self) -> float:
        """Seconds."""
        return seconds(lambda: self._forward(self.state[0], self.x, self.c).block_until_ready())

    def step(self) -> float:
        """Seconds."""

        def run() -> None:
            self.state, loss = self.program(self.state, self.x, self.c, self.target)
            loss.block_until_ready()

        return seconds(run)

    def memory(self) -> int:
        """Bytes of a step, on one device."""
        return self.program.memory_analysis().temp_size_in_bytes

    def operations(self) -> float:
        """Of a step, on all devices."""
        return self.program.cost_analysis()["flops"] * jax.device_count()


class Theirs:
    """The same in PyTorch, eager or compiled."""

    def __init__(self, name: str, batch: int, *, compiled: bool = False) -> None:
        torch.manual_seed(0)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network: Any = twin(name).to(self.device, memory_format=torch.channels_last)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=2e-4, fused=True)
        images = torch.randn(2, batch, 3, SIZE, SIZE, device=self.device)
        self.x, self.target = (
            image.contiguous(memory_format=torch.channels_last) for image in images
        )
        self.c = torch.rand(batch, device=self.device) + 0.1
        self.called = torch.compile(self.network) if compiled else self.network

    def _apply(self) -> torch.Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            return self.called(self.x, self.c)

    def _seconds(self, run: Callable[[], Any]) -> float:
        def finished() -> None:
            run()
            if self.device == "cuda":
                torch.cuda.synchronize()

        return seconds(finished)

    def forward(self) -> float:
        """Seconds."""
        with torch.inference_mode():
            return self._seconds(self._apply)

    def step(self) -> float:
        """Seconds."""

        def run() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            (self._apply().float() - self.target).square().mean().backward()
            self.optimizer.step()

        return self._seconds(run)


def measure(name: str, batch: int, dtype: str, rounds: int) -> dict[str, Any]:
    """Of one network."""
    networks: dict[str, Any] = {
        "ours": Ours(name, batch, dtype),
        "pytorch": Theirs(name, batch),
    }
    if torch.cuda.is_available():
        networks["pytorch_compiled"] = Theirs(name, batch, compiled=True)
    counts = {who: network.parameters for who, network in networks.items()}
    row: dict[str, Any] = {"batch": batch, "dtype": dtype, "parameters": counts}
    for what in ("forward", "step"):
        calls = {who: getattr(network, what) for who, network in networks.items()}
        in_turns(calls, 2)
        took = in_turns(calls, rounds)
        row[what] = {
            "seconds": {who: round(statistics.median(took[who]), 5) for who in took},
            "ratio": {who: ratio(took, "ours", who) for who in took if who != "ours"},
        }
    if name != "dit":  # XLA counts the operations of a loop once, whatever its length
        rate = networks["ours"].operations() / row["step"]["seconds"]["ours"]
        row["of_peak"] = round(rate / peak(dtype), 3)
    kept = networks["ours"].memory()
    row["memory_gib"] = {
        "plain": round(kept / 2**30, 3),
        "remat": round(Ours(name, batch, dtype, remat=True).memory() / 2**30, 3),
    }
    return row


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="ddpmpp,ncsnpp,dit")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    devices.start()
    accelerated = jax.default_backend() != "cpu"
    batch, dtype = (128, "bfloat16") if accelerated else (16, "float32")
    rows = {}
    for name in options.networks.split(","):
        rows[name] = measure(name, batch, dtype, options.rounds)
        print(name, rows[name], flush=True)
    result = {
        "networks": rows,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
    }
    save("networks_gpu" if accelerated else "networks", result)
    if not accelerated:
        into_readme("networks", table(rows))


def table(rows: dict[str, dict]) -> str:
    """The README's."""
    lines = [
        "",
        "| network | forward ÷ PyTorch | training step ÷ PyTorch | memory a device, with remat |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        ratios = [row[what]["ratio"]["pytorch"]["median"] for what in ("forward", "step")]
        plain, remat = row["memory_gib"]["plain"], row["memory_gib"]["remat"]
        cells = [name, *(f"{value:.2f}" for value in ratios), f"{plain:.2f} GiB, {remat:.2f} GiB"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
