"""What a sampler costs beyond its network evaluations: time, compilation, memory.

    python -m benchmarks.sampler_overhead

time     (seconds of `GridSampler.draw`) / (evaluations × seconds of one compiled evaluation), at
         the same network and batch: the median of pairs that are timed side by side, after warm-up.
compile  (seconds to trace and compile it) / (seconds for one evaluation of the network and
         for drawing one batch of noise, each alone), for a network of 7 M parameters, without any
         cache: the median of pairs.
memory   temporary bytes of the compiled program at 100 steps over those at 10.

The result goes to benchmarks/results/sampler_overhead.json (sampler_overhead_gpu.json on a GPU),
and the worst figures into the docs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import samplers
from benchmarks.report import here, into_pages, save
from benchmarks.timing import in_turns, ratio, seconds
from models import NCSNpp, ScoreModel, init_params, parameterizations
from samplers import noise
from sde_lib import VP

PAIRS, STEPS, EVALUATIONS_PER_TIMING, COMPILATIONS = 9, 20, 20, 3
SHAPE = (16, 32, 32, 3)

Method = tuple[samplers.Solver, samplers.Corrector | None]
METHODS: dict[str, Method] = {
    "euler_maruyama": (samplers.EulerMaruyama(), None),
    "adams": (samplers.AdamsMoulton(), None),
    "unipc": (samplers.UniPC(), None),
    "heun": (samplers.Heun(), None),
    "sde_dpmpp_3m": (samplers.SDEDPMSolverPP3M(), None),
    "reverse_diffusion + langevin": (samplers.ReverseDiffusion(), samplers.Langevin()),
}


def main() -> None:
    """Measure every sampler, write the result and the docs' figures."""
    small, large = build_model(nf=32), build_model(nf=64)
    rows: dict[str, dict] = {name: {} for name in METHODS}
    for name, method in METHODS.items():
        rows[name] = {
            "time": time_ratio(small, method),
            "compile": compile_ratio(large, method),
            "memory": memory(small, method, 100) / memory(small, method, 10),
        }
        print(name, rows[name])
    compiled = sum(leaf.size for leaf in jax.tree.leaves(large.params))
    result = {"ratio": rows, "pairs": PAIRS, "shape": SHAPE, "parameters_compiled": compiled}
    save(here("sampler_overhead"), result)
    into_pages(here("overhead"), words(result))


def build_model(nf: int) -> ScoreModel:
    """A DDPM++ with random weights: 1.6 M parameters at nf = 32, 6.5 M at 64."""
    network = NCSNpp(
        nf=nf, ch_mult=(1, 2, 2), num_res_blocks=1, attn_resolutions=(8,), init_scale=1.0
    )
    return ScoreModel(
        network=network,
        params=init_params(jax.random.key(0), network, SHAPE[1:]),
        sde=VP(),
        parameterization=parameterizations["edm"](),
        conditioning="log_noise",
    )


def arguments(model: ScoreModel, method: Method, num_steps: int) -> tuple:
    """Of `GridSampler.draw`, the sampler first."""
    solver, corrector = method
    grid = samplers.grids[solver.grid](VP(), num_steps, 1e-3)
    sampler = samplers.GridSampler(solver=solver, corrector=corrector, grid=grid)
    return sampler, jax.random.key(0), VP(), model, SHAPE


def evaluate(model: ScoreModel, x: jax.Array, t: jax.Array) -> Any:
    """One network evaluation."""
    return model(x, t)


def draw(keys: jax.Array) -> jax.Array:
    """One batch of noise."""
    return noise.normal(keys, 0, SHAPE[1:])


def time_ratio(model: ScoreModel, method: Method) -> dict[str, float]:
    """Of a run to as many evaluations."""
    sampler, *rest = arguments(model, method, STEPS)
    count = sampler.num_evaluations(VP())
    x, one = jax.random.normal(jax.random.key(1), SHAPE), jax.jit(evaluate)
    t = jnp.full(SHAPE[0], 0.5)

    def run() -> float:
        return seconds(lambda: sampler.draw(*rest).x.block_until_ready()) / count

    def evaluations() -> float:
        def all_of_them() -> None:
            for _ in range(EVALUATIONS_PER_TIMING):
                one(model, x, t).data.block_until_ready()

        return seconds(all_of_them) / EVALUATIONS_PER_TIMING

    run(), evaluations()
    return paired(run, evaluations, PAIRS)


def compile_ratio(model: ScoreModel, method: Method) -> dict[str, float]:
    """Of the sampler to the network and the noise."""
    positional = arguments(model, method, STEPS)
    x, t = jax.ShapeDtypeStruct(SHAPE, jnp.float32), jax.ShapeDtypeStruct(SHAPE[:1], jnp.float32)
    keys = noise.example_keys(jax.random.key(0), jnp.arange(SHAPE[0]))

    def program() -> float:
        jax.clear_caches()
        return seconds(lambda: samplers.GridSampler.draw.lower(*positional).compile())

    def parts() -> float:
        jax.clear_caches()
        return seconds(
            lambda: (
                jax.jit(evaluate).lower(model, x, t).compile(),
                jax.jit(draw).lower(keys).compile(),
            )
        )

    return paired(program, parts, COMPILATIONS)


def memory(model: ScoreModel, method: Method, num_steps: int) -> int:
    """Temporary bytes of the program."""
    drawing = samplers.GridSampler.draw.lower(*arguments(model, method, num_steps))
    used: Any = drawing.compile().memory_analysis()
    return used.temp_size_in_bytes


def paired(above: Callable[[], float], below: Callable[[], float], pairs: int) -> dict[str, float]:
    """The ratio of what is timed side by side."""
    return ratio(in_turns({"above": above, "below": below}, pairs), "above", "below")


def words(result: dict[str, Any]) -> str:
    """The worst figures, for the docs."""
    rows = result["ratio"]
    worst_time = max(row["time"]["median"] for row in rows.values())
    worst_compile = max(row["compile"]["median"] for row in rows.values())
    worst_memory = max(row["memory"] for row in rows.values())
    figure = f"{max(worst_time - 1, 0):.1%}".replace("%", " %")
    return (
        f"{figure} of their time at most; its program compiles in {worst_compile:.2f} times the "
        f"time of the network's and the noise's at most, and takes {worst_memory:.3f} times the "
        "memory at 100 steps that it takes at 10"
    )


if __name__ == "__main__":
    main()
