"""What the sampling loop costs beyond its network evaluations.

    python -m benchmarks.sampler_overhead

ratio = (seconds of `sample`) / (evaluations × seconds of one compiled score evaluation), at the
same network and batch: the median of pairs that are timed side by side, after warm-up. The result
goes to benchmarks/results/sampler_overhead.json, and its figure into the README.
"""

import statistics
import time
from collections.abc import Callable

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
    write(rows)


SAMPLERS = {
    "euler_maruyama": (samplers.EulerMaruyama(), None),
    "ancestral": (samplers.Ancestral(), None),
    "reverse_diffusion + langevin": (samplers.ReverseDiffusion(), samplers.Langevin()),
}


def build_model() -> ScoreModel:
    """A DDPM++ of 1.6 M parameters with random weights."""
    network = NCSNpp(
        nf=32, ch_mult=(1, 2, 2), num_res_blocks=1, attn_resolutions=(8,), init_scale=1.0
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

    return run, STEPS * (2 if corrector else 1)


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


def write(rows: dict[str, dict[str, float]]) -> None:
    """The result, and the worst median into the README."""
    save("sampler_overhead", {"ratio": rows, "pairs": PAIRS, "shape": SHAPE})
    worst = max(row["median"] for row in rows.values())
    figure = f"{max(worst - 1, 0):.1%}".replace("%", " %")
    into_readme("overhead", f"{figure} at most")


if __name__ == "__main__":
    main()
