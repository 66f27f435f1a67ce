"""Error against network evaluations: our solvers, other packages', and on a trained network.

    python -m benchmarks.solvers [--workdir=runs/demo | --keep_network | --draw]

On the mixture of `mixture8`, in float64 because float32 has no digits below 1e-6: deterministic
solvers on the grids of their papers, at 10, 20, 50 and 100 evaluations, a last denoising counted;
and the peers that are installed (`solver_peers`). The grid ends at σ = 10⁻⁴ where it is uniform in
the rectified time or the angle of the data's deviation s; the others, ours and the peers' alike,
have the best of 10⁻⁴, 10⁻³ and 10⁻² at every budget. Rows with s = 1 are what peers without s do.

Adaptive integrators of the same flow, per example, against diffrax's with a PI controller.

With --workdir, a trained model of images: the RMS distance to the fine solution from the same
latents, and the Fréchet distance of Gaussians fitted to 1000 samples and to the training images.
Written to benchmarks/results/solvers.json and docs/solvers.png, with tables in the docs; --draw
makes the picture and the tables anew from what was measured.
"""

import argparse
from typing import Any

import jax

from benchmarks.mixture8 import Mixture8
from benchmarks.report import into_pages, read, save
from benchmarks.solver_adaptive import adaptive
from benchmarks.solver_peers import peers
from benchmarks.solver_picture import draw
from samplers import Solver, solvers

BUDGETS = (10, 20, 50, 100)
MIN_TIMES = (1e-4, 1e-3, 1e-2)
DEFAULT = "adams, rectified"


def main() -> None:
    """Measure, write the result, and show it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", help="a trained model of images")
    parser.add_argument("--keep_network", action="store_true", help="that part as last measured")
    parser.add_argument("--draw", action="store_true", help="show what was measured, once more")
    options = parser.parse_args()
    result = read("solvers") if options.draw else measured(options)
    if not options.draw:
        save("solvers", result)
    into_pages("solvers", table(result["mixture"]))
    into_pages("solvers_by_budget", by_budget(result["mixture"]))
    into_pages("solvers_headline", headline(result["mixture"]))
    draw(result, BUDGETS, DEFAULT)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """On the mixture, by adaptive integrators, and on a network where one is given."""
    with jax.enable_x64(True):
        result: dict[str, Any] = {"mixture": on_the_mixture(), "adaptive": adaptive(Mixture8())}
    if options.workdir:
        from benchmarks.solver_network import on_a_network

        result["network"] = on_a_network(options.workdir, contenders)
    if options.keep_network:
        result["network"] = read("solvers")["network"]
    return result


def contenders(data_std: float) -> dict[str, tuple[Solver, str]]:
    """Solver and grid by name: each on the grid of its paper, and on that of the default."""
    s = {"s": data_std}
    ours: dict[str, tuple[str, dict[str, Any], str]] = {
        "ddim": ("ddim", {}, "edm"),
        "heun": ("heun", {}, "edm"),
        "midpoint": ("midpoint", s, "rectified"),
        "rk4": ("rk", s, "rectified"),
        "dpmpp_2s": ("dpmpp_2s", {}, "log_snr"),
        "dpmpp_2m": ("dpmpp_2m", {}, "edm"),
        "dpmpp_3m": ("dpmpp_3m", {}, "log_snr"),
        "unipc, order 3": ("unipc", {}, "log_snr"),
        "deis, order 3": ("deis", {}, "edm"),
        "ipndm": ("ipndm", {}, "edm"),
        "exponential_adams, noise": ("exponential_adams", {"form": "noise"}, "log_snr"),
        "adams 3, no corrector": ("adams", s | {"order": 3, "corrector": 0}, "rectified"),
        "midpoint, s = 1": ("midpoint", {"s": 1.0}, "rectified"),
        "adams 3, no corrector, s = 1": (
            "adams",
            {"s": 1.0, "order": 3, "corrector": 0},
            "rectified",
        ),
        "adams 4/4": ("adams", s | {"order": 4}, "rectified"),
        "adams, velocity": ("adams", s | {"form": "velocity"}, "cosine"),
        "adams": ("adams", s, "rectified"),
    }
    made = {name: (solvers[kind](**fields), grid) for name, (kind, fields, grid) in ours.items()}
    return {f"{name}, {grid}": (solver, grid) for name, (solver, grid) in made.items()}


def on_the_mixture() -> dict[str, dict[str, list]]:
    """[median, RMS, least σ] at every budget, of ours and of the peers."""
    problem = Mixture8()
    results: dict[str, dict[str, list]] = {"ours": {}, "peers": {}}

    def least_rms(attempts: dict[float, tuple[float, float]]) -> list:
        least = min(attempts, key=lambda least: attempts[least][1])
        return [*attempts[least], least]

    for name, (solver, grid) in contenders(problem.data_std).items():
        by_rule = grid in ("rectified", "cosine") and getattr(solver, "s", 0) == problem.data_std
        ends = MIN_TIMES[:1] if by_rule else MIN_TIMES
        results["ours"][name] = [
            least_rms({least: problem.solve(solver, grid, calls, least) for least in ends})
            for calls in BUDGETS
        ]
        print(name, [[float(f"{v:.2g}") for v in point] for point in results["ours"][name]])
    for name, run in peers(problem):
        results["peers"][name] = [
            least_rms({least: problem.error(run(calls, least)) for least in MIN_TIMES})
            for calls in BUDGETS
        ]
        print(name, [[float(f"{v:.2g}") for v in point] for point in results["peers"][name]])
    return results


def table(mixture: dict[str, dict[str, list]]) -> str:
    """In Markdown: median and RMS error by solver and budget."""
    heads = " | ".join(f"{calls}" for calls in BUDGETS)
    lines = ["", f"| solver, grid | {heads} |", "|---|" + "---|" * len(BUDGETS)]
    for curves in mixture.values():
        for name, points in curves.items():
            cells = " | ".join(f"{median:.1e} / {rms:.1e}" for median, rms, _ in points)
            lines.append(f"| {name} | {cells} |")
    return "\n".join([*lines, ""])


def best(curves: dict[str, list], budget: int, number: int = 1) -> list[tuple[str, float]]:
    """Those of least median error at a budget, with it."""
    errors = {name: points[BUDGETS.index(budget)][0] for name, points in curves.items()}
    return [(name, errors[name]) for name in sorted(errors, key=errors.__getitem__)[:number]]


def by_budget(mixture: dict[str, dict[str, list]]) -> str:
    """In Markdown: the three best of ours at every budget, beside the best of other packages."""
    lines = [
        "",
        "| evaluations | best | second | third | best of other packages |",
        "|---" * 5 + "|",
    ]
    for calls in BUDGETS:
        ranked = best(mixture["ours"], calls, 3) + best(mixture["peers"], calls)
        cells = " | ".join(f"{name}; {error:.1e}" for name, error in ranked)
        lines.append(f"| {calls} | {cells} |")
    return "\n".join([*lines, ""])


def headline(mixture: dict[str, dict[str, list]]) -> str:
    """The default's error at few evaluations, beside the best of other packages."""
    parts = []
    for calls in BUDGETS[:2]:
        ours = mixture["ours"][DEFAULT][BUDGETS.index(calls)][0]
        ((peer, theirs),) = best(mixture["peers"], calls)
        parts.append(f"{ours:.1e} at {calls} network evaluations ({peer}: {theirs:.1e})")
    return f"{', '.join(parts)}; in brackets the best of other packages"


if __name__ == "__main__":
    main()
