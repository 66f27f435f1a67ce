"""The networks of `benchmarks.networks` as the commands make them, compiled only when asked for."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import timing
from benchmarks.operations import operations
from benchmarks.timing import seconds
from experiments.runtime.devices import compiler_options, make_mesh, put, replicated, sharded
from models import DiT, NCSNpp, abstract_params, init_params

SIZE = 32
UNET = 128, 4
"""Channels, residual blocks a level."""
TRANSFORMER = 384, 12, 6, 2
"""Width, depth, heads, and pixels of a patch's side."""


def ours(name: str, dtype: str, *, remat: bool = False, direct: bool = False) -> nn.Module:
    """Our network, as the commands make it on this platform; or with direct convolutions."""
    cpu = jax.default_backend() == "cpu"
    attention = "cudnn" if dtype == "bfloat16" and not cpu else "xla"
    common: Any = {"dtype": dtype, "remat": remat, "attention": attention}
    if name == "dit":
        width, depth, heads, patch = TRANSFORMER
        return DiT(width=width, depth=depth, head_dim=width // heads, patch_size=patch, **common)
    if name == "ncsnpp":
        # What the published 256-pixel network has, which is what diffusers has of it.
        common |= {"fir": True, "progressive": "output_skip", "progressive_input": "input_skip"}
        common |= {"embedding": "fourier"}
    common |= {"convolution": "winograd_vjp" if cpu and not direct else "xla"}
    channels, blocks = UNET
    return NCSNpp(nf=channels, num_res_blocks=blocks, dropout=0.0, **common)


def step_operations(name: str, batch: int) -> int:
    """Of a training step with direct convolutions and plain attention: what is asked for."""
    return Ours(name, batch, "float32", direct=True).operations()


class Ours:
    """A network of ours with its forward evaluation and its training step: loss, gradient, Adam."""

    def __init__(self, name: str, batch: int, dtype: str, **fields: bool) -> None:
        self._about = name, batch, dtype
        self._network, self._optimizer = ours(name, dtype, **fields), optax.adam(2e-4)
        params = abstract_params(self._network, (SIZE, SIZE, 3))
        images = jax.ShapeDtypeStruct((batch, SIZE, SIZE, 3), "float32")
        levels = jax.ShapeDtypeStruct((batch,), "float32")
        state = params, jax.eval_shape(self._optimizer.init, params)
        self._shapes = state, images, levels, images
        self._took: dict[str, float] = {}

    def _apply(self, params: Any, x: jax.Array, c: jax.Array) -> Any:
        return self._network.apply({"params": params}, x, c)

    def _update(self, state: Any, x: jax.Array, c: jax.Array, target: jax.Array) -> tuple[Any, Any]:
        params, moments = state

        def loss(params: Any) -> jax.Array:
            return jnp.square(self._apply(params, x, c) - target).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, moments = self._optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), value

    @functools.cached_property
    def _values(self) -> list[Any]:
        """State, images, noise levels and targets, on the devices."""
        mesh, random, batch = make_mesh(), np.random.default_rng(0), self._about[1]
        x, target = random.standard_normal((2, batch, SIZE, SIZE, 3), "float32")
        c = random.uniform(0.1, 4, batch).astype("float32")
        params = init_params(jax.random.key(0), self._network, (SIZE, SIZE, 3))
        state = put((params, self._optimizer.init(params)), replicated(mesh))
        return [state, *put((x, c, target), sharded(mesh))]

    def _lowered(self, what: str) -> Any:
        mesh = make_mesh()
        layout = [replicated(mesh), *[sharded(mesh)] * 3]
        state, *batch = (
            jax.tree.map(lambda leaf, where=where: leaf.update(sharding=where), shapes)
            for shapes, where in zip(self._shapes, layout, strict=True)
        )
        if what == "forward":
            return jax.jit(self._apply).lower(state[0], *batch[:2])
        jitted = jax.jit(self._update, donate_argnums=0, compiler_options=compiler_options())
        return jitted.lower(state, *batch)

    @functools.cached_property
    def _forward(self) -> Any:
        return self._compiled("forward")

    @functools.cached_property
    def _step(self) -> Any:
        return self._compiled("step")

    def _compiled(self, what: str) -> Any:
        programs: list[Any] = []
        lowered = self._lowered(what)
        took = seconds(lambda: programs.append(lowered.compile()))
        self._took[what] = round(took, 1)
        return programs[0]

    def parameters(self) -> int:
        """Their number."""
        return sum(leaf.size for leaf in jax.tree.leaves(self._shapes[0][0]))

    def operations(self) -> int:
        """Of a step, by the shapes of what it multiplies."""
        return operations(self._update, *self._shapes)

    def peak(self) -> float:
        """Operations of a large matrix product in a second."""
        return timing.peak(self._about[2])

    def forward(self) -> float:
        """Seconds."""
        program, (state, x, c, _) = self._forward, self._values
        return seconds(lambda: program(state[0], x, c).block_until_ready())

    def step(self) -> float:
        """Seconds."""
        program, values = self._step, self._values

        def run() -> None:
            values[0], loss = program(*values)
            loss.block_until_ready()

        return seconds(run)

    def compiling(self) -> dict[str, float]:
        """Seconds that the compiler took for both, when each was first called or else now."""
        _ = self._forward, self._step
        return {what: self._took[what] for what in ("forward", "step")}

    def memory(self) -> dict[str, float]:
        """GiB of a step on one device besides its arguments, without and with remat."""
        kinds = {"plain": self, "remat": Ours(*self._about, remat=True)}
        kept = {kind: network._step.memory_analysis() for kind, network in kinds.items()}
        return {kind: round(one.temp_size_in_bytes / 2**30, 3) for kind, one in kept.items()}
