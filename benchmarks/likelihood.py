"""Error of a log-density against network calls, in several coordinates and by several integrators.

    python -m benchmarks.likelihood [--workdir=runs/demo] [--only_network]

--only_network keeps the mixtures' part of the last result.

Problems: mixtures in 8 dimensions under VP, sub-VP and VE, 256 points, exact trace, float64; and,
with --workdir, a trained model of the digits, 32 images, one fixed Rademacher probe, float32. The
error is the root mean square over points of the difference, in bits/dim, to the same ODE solved far
more finely. Calls are those of the slowest example.

    baseline     batch-wide RK45 in t, dx/dt = f x − ½ g² score, at tolerances 10⁻¹ … 10⁻⁷, as the
                 reference does (one step size for the whole batch, by SciPy, on the host)
    coordinates  t, log n, arctan n/s and n/(s + n), the state as x/α or scaled to unit variance,
                 each by the same adaptive pair with a step of its own for each example
    integrators  in the angle: Adams, on steps of each example's own and on grids of grading 0 and
                 0.8; and pairs of order 3, 5, 8, with the elementary and with the PI controller
    scales       the scale s of the angle, as a multiple of the data's standard deviation

Also: what a round trip of encode and decode changes; seconds an image of the whole likelihood
against the host loop with separate value and gradient passes; and the variance of probes at equal
time. Written to benchmarks/results/likelihood.json and docs/likelihood.png, with a summary in the
docs.
"""

import argparse
from functools import partial
from typing import Any

import jax

from benchmarks.host_loop import HostLoop
from benchmarks.likelihood_problem import Curve, Problem, mixtures
from benchmarks.report import ROOT, into_pages, read, save
from samplers import Adams, Equal, RungeKutta
from sde_lib import sdes

BASELINE, OURS, DIGITS = "RK45 in t, batch-wide", "Adams", "digits, vp"
TARGETS = (1e-3, 1e-4)


def main() -> None:
    """Measure, draw, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", help="a trained model of the digits")
    parser.add_argument("--only_network", action="store_true")
    options = parser.parse_args()
    if options.only_network:
        last = read("likelihood")
        result: dict[str, Any] = {part: last[part] for part in ("problems", "scales")}
    else:
        result = measure_mixtures()
    if options.workdir:
        from benchmarks.likelihood_network import (
            probe_variances,
            round_trip,
            speed,
            trained,
        )

        problem, control = trained(options.workdir)
        result["problems"][DIGITS] = integrators(problem)
        result["scales"][DIGITS] = scales(problem)
        result |= {
            "round_trip": round_trip(problem),
            "speed": speed(problem),
            "probes": probe_variances(problem, control),
        }
        into_pages("round_trip", in_words(result["round_trip"]))
    for name, curves in result["problems"].items():
        for target in TARGETS:
            print(
                name, target, {curve: calls_for(points, target) for curve, points in curves.items()}
            )
    print("scales", result["scales"])
    save("likelihood", result)
    draw(result["problems"])
    into_pages("likelihood", summary(result["problems"]))


def measure_mixtures() -> dict[str, Any]:
    """Every mixture under every SDE, one of them in all coordinates and by all integrators."""
    curves, by_scale = {}, {}
    with jax.enable_x64(True):
        for number, mixture in enumerate(mixtures(), start=1):
            for name in ("vp", "subvp", "ve"):
                problem, title = (
                    Problem.of_mixture(mixture, sdes[name]()),
                    f"mixture {number}, {name}",
                )
                curves[title] = integrators(problem)
                if name == "vp":
                    by_scale[title] = scales(problem)
                if title == "mixture 1, vp":
                    curves[title] |= more_integrators(problem) | problem.coordinates()
    return {"problems": curves, "scales": by_scale}


def integrators(problem: Problem) -> dict[str, Curve]:
    """Error against calls of the contenders."""
    host = HostLoop(problem, fused=True)
    baseline = [host(tolerance) for tolerance in problem.tolerances]
    steps = (14, 19, 24, 29, 34, 39, 49, 59, 69, 84, 99, 139, 199)
    return {
        BASELINE: [(calls, problem.error(value)) for value, calls in baseline],
        OURS: problem.adaptive(Adams),
        "dopri5, PI": problem.adaptive(RungeKutta),
    } | {
        f"Adams, grid {grading:g}": [
            problem.point(Adams(history=3, steps=Equal(num=n, grading=grading))) for n in steps
        ]
        for grading in (0.0, 0.8)
    }


def more_integrators(problem: Problem) -> dict[str, Curve]:
    """Pairs of other orders, controllers and equal steps."""
    curves = {}
    for tableau in ("bosh3", "dopri5", "dop853"):
        for name, pid in (("PI", (0.4, 0.3, 0.0)), ("I", (0.0, 1.0, 0.0))):
            make = partial(RungeKutta, tableau=tableau, pid=pid)
            curves[f"{tableau}, {name}"] = problem.adaptive(make)
    curves["dopri5, fixed"] = [
        problem.point(RungeKutta(steps=Equal(num=n))) for n in (3, 5, 8, 12, 18, 27)
    ]
    return curves


def scales(problem: Problem) -> dict[str, list[int | None]]:
    """Calls of Adams to each target, by s over the data's standard deviation."""
    calls = {}
    for scale in (0.35, 0.5, 0.7, 1.0, 1.4):
        curve = problem.adaptive(Adams, problem.data_std * scale)
        calls[f"{scale:g}"] = [calls_for(curve, target) for target in TARGETS]
    return calls


def calls_for(points: Curve, target: float) -> int | None:
    """Calls of the first point of a curve below the target."""
    return next((calls for calls, error in points if error <= target), None)


def summary(problems: dict[str, dict[str, Curve]]) -> str:
    """The factors of Adams against the baseline, in words."""
    parts = []
    for target in TARGETS:
        factors = {}
        for name, curves in problems.items():
            base, ours = calls_for(curves[BASELINE], target), calls_for(curves[OURS], target)
            if base and ours:
                factors[name] = base / ours
        mixed = [f for name, f in factors.items() if name.startswith("mixture")]
        text = (
            f"{min(mixed):.1f} to {max(mixed):.1f} times fewer at {target:g} bits/dim on mixtures"
        )
        if DIGITS in factors:
            text += f" and {factors[DIGITS]:.1f} times on trained digits"
        parts.append(text)
    return "; ".join(parts)


def in_words(round_trips: dict[str, float]) -> str:
    """What a round trip changes, for the docs."""
    changes = [f"{change:.0e} at rtol {tolerance}" for tolerance, change in round_trips.items()]
    most = " and ".join(changes)
    return f"on trained digits a round trip changes a pixel by at most {most}, of the data's range"


def draw(problems: dict[str, dict[str, Curve]]) -> None:
    """Error against calls, a panel for every question."""
    from matplotlib.figure import Figure

    first, *_, last = problems
    curves = problems[first]
    times = [name for name in curves if "," in name and ("variance" in name or "x/α" in name)]
    integrators = [name for name in curves if name not in times]
    panels = [(f"{first}: coordinates", curves, [*times, BASELINE])]
    panels.append((f"{first}: integrators", curves, integrators))
    panels.append((last, problems[last], list(problems[last])))
    figure = Figure(figsize=(16, 5), dpi=80, layout="constrained")
    for axes, (title, lines, names) in zip(figure.subplots(1, 3), panels, strict=True):
        for name in names:
            style = "k--" if name == BASELINE else "-"
            axes.loglog(*zip(*lines[name], strict=True), style, marker=".", label=name)
        axes.set(title=title, xlabel="network calls", ylabel="RMS error, bits/dim", xlim=(10, 400))
        axes.grid(visible=True, which="both", alpha=0.2)
        axes.legend(fontsize="small")
    path = ROOT / "docs" / "likelihood.png"
    figure.savefig(path)
    print(path)


if __name__ == "__main__":
    main()
