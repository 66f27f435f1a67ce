"""What the sampling loop costs beyond its network evaluations: time, compilation, memory.

    python -m benchmarks.sampler_overhead

ratio = (seconds of `sample`) / (evaluations × seconds of one compiled score evaluation), at the
same network and batch: the median of pairs that are timed side by side, after warm-up. Also, for a
network of 6 M parameters, the time to compile the sampler over that of the network and of drawing
noise, each alone; and the sampler's memory at 10 and at 100 steps. The result goes to
benchmarks/results/sampler_overhead.json, and its figures into the README.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import samplers
from benchmarks.report import into_readme, save
from models import NCSNpp, ScoreModel, init_params
from sde_lib import VP, Prediction

PAIRS, STEPS, EVALUATIONS_PER_TIMING = 15, 20, 40
SHAPE = (16, 32, 32, 3)


def main() -> None:
    """Time every sampler, write the result and the README's figure."""
    compiled = compilation()
    print(compiled)
    model = build_model()
    x = jax.random.normal(jax.random.key(1), SHAPE)
    evaluate = jax.jit(lambda model, x, t: model(x, t))

    def evaluations() -> None:
        for _ in range(EVALUATIONS_PER_TIMING):
            prediction: Prediction = evaluate(model, x, jnp.full(SHAPE[0], 0.5))
            prediction.data.block_until_ready()

    rows = {}
    for name, (solver, corrector) in SAMPLERS.items():
        run, count = make_sampler(model, solver, corrector)
        ratio = paired_ratio(run, count, evaluations)
        rows[name] = {"evaluations": count, **ratio}
        print(f"{name}: {ratio['median']:.3f} (from {ratio['min']:.3f} to {ratio['max']:.3f})")
    write(rows, compiled)


SAMPLERS = {
    "euler_maruyama": (samplers.EulerMaruyama(), None),
    "ancestral": (samplers.Ancestral(), None),
    "reverse_diffusion + langevin": (samplers.ReverseDiffusion(), samplers.Langevin()),
    "adams": (samplers.AdamsMoulton(), None),
    "unipc": (samplers.UniPC(), None),
    "heun": (samplers.Heun(), None),
}


def build_model(nf: int = 32) -> ScoreModel:
    """A DDPM++ of 1.6 M parameters with random weights; of 6.3 M with nf = 64."""
    network = NCSNpp(
        nf=nf, ch_mult=(1, 2, 2), num_res_blocks=1, attn_resolutions=(8,), init_scale=1.0
    )
    return ScoreModel(
        network=network,
        params=init_params(jax.random.key(0), network, SHAPE[1:]),
        sde=VP(),
        parameterization="edm",
        conditioning="log_noise",
    )


def make_sampler(
    model: ScoreModel, solver: samplers.Solver, corrector: samplers.Corrector | None
) -> tuple[Callable[[], None], int]:
    """A call that samples one batch, and how many evaluations it makes."""
    sde = VP()
    grid = samplers.grids["uniform"](sde, STEPS, 1e-3)

    def run() -> None:
        samplers.sample(
            jax.random.key(0), sde, model, SHAPE, solver=solver, corrector=corrector, grid=grid
        ).block_until_ready()

    return run, samplers.evaluations(sde, solver, grid, corrector, denoise=False)


def compilation() -> dict[str, float]:
    """Seconds to compile, medians of three, and bytes of memory beside arguments and results."""
    model, sde, solver = build_model(nf=64), VP(), samplers.AdamsMoulton()
    x = jnp.zeros(SHAPE)

    def seconds(lower: Callable) -> float:
        def once() -> None:
            jax.clear_caches()
            lower().compile()

        return statistics.median(timed(once) for _ in range(3))

    def sampler(num_steps: int) -> Any:
        grid = samplers.grids["rectified"](sde, num_steps, 1e-3)
        return samplers.sample.lower(
            jax.random.key(0), sde, model, SHAPE, solver=solver, grid=grid, denoise=True
        )

    network = seconds(
        lambda: jax.jit(lambda model, x, t: model(x, t)).lower(model, x, jnp.ones(16))
    )
    noise = seconds(
        lambda: jax.jit(lambda key: jax.random.normal(key, SHAPE)).lower(jax.random.key(0))
    )
    whole = seconds(lambda: sampler(20))
    memory = [sampler(n).compile().memory_analysis().temp_size_in_bytes for n in (10, 100)]
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(model.params)),
        "sampler": whole,
        "network": network,
        "noise": noise,
        "ratio": whole / (network + noise),
        "bytes at 10 steps": memory[0],
        "bytes at 100 steps": memory[1],
    }


def paired_ratio(
    run: Callable[[], None], count: int, evaluations: Callable[[], None]
) -> dict[str, float]:
    """Median, least and largest of the paired ratios, in turns: which goes first alternates."""
    run(), evaluations()
    ratios = []
    for pair in range(PAIRS):
        order = (run, evaluations) if pair % 2 else (evaluations, run)
        seconds = {call: timed(call) for call in order}
        ratios.append(seconds[run] / count / (seconds[evaluations] / EVALUATIONS_PER_TIMING))
    return {
        "median": round(statistics.median(ratios), 4),
        "min": round(min(ratios), 4),
        "max": round(max(ratios), 4),
    }


def timed(call: Callable[[], None]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def write(rows: dict[str, dict[str, float]], compiled: dict[str, float]) -> None:
    """The result, and the worst median into the README."""
    save("sampler_overhead", {"ratio": rows, "pairs": PAIRS, "shape": SHAPE, "compile": compiled})
    worst = max(row["median"] for row in rows.values())
    figure = f"{max(worst - 1, 0):.1%}".replace("%", " %")
    into_readme("overhead", f"{figure} at most")
    into_readme("compile", f"{compiled['ratio']:.2f}")


if __name__ == "__main__":
    main()
