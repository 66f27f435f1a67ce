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
    integrators  in the angle: Adams (on a uniform grid for the mixtures, on the graded one of the
                 command line for the network), fixed steps, and adaptive pairs of order 3, 5, 8,
                 with the elementary and with the PI controller

Also: seconds an image of the whole likelihood against the host loop with separate value and
gradient passes; and the variance of probes at equal time. Written to
benchmarks/results/likelihood.json and docs/likelihood.png, with a summary in the README.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.integrate import solve_ivp

import samplers
from benchmarks.report import RESULTS, ROOT, into_readme, save
from samplers import Adams, Exact, FixedRungeKutta, Hutchinson, RungeKutta
from samplers.divergence import value_and_divergence
from sde_lib import SDE, GaussianMixture, expand, prediction, sdes

Curve = list[tuple[int, float]]
"""(calls, error in bits/dim), by falling tolerance or growing number of steps."""


def main() -> None:
    """Measure, draw, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", help="a trained model of the digits")
    parser.add_argument("--only_network", action="store_true")
    options = parser.parse_args()
    workdir = options.workdir
    result: dict[str, Any] = {"problems": {}}
    if options.only_network:
        result["problems"] = json.loads((RESULTS / "likelihood.json").read_text())["problems"]
    else:
        result["problems"] = measure_mixtures()
    if workdir:
        problem, probes, speed = trained(workdir)
        result["problems"]["digits, vp"] = problem.measure(False)
        result |= {"probes": probes, "speed": speed}
    for name, curves in result["problems"].items():
        for target in (1e-3, 1e-4):
            calls = {curve: calls_for(points, target) for curve, points in curves.items()}
            print(name, f"{target:g}", calls)
    save("likelihood", result)
    draw(result["problems"])
    into_readme("likelihood", summary(result))


def measure_mixtures() -> dict[str, dict[str, Curve]]:
    """Every mixture under every SDE, one of them in all coordinates and by all integrators."""
    measured = {}
    with jax.enable_x64(True):
        for number, mixture in enumerate(mixtures()):
            for name in ("vp", "subvp", "ve"):
                problem = Problem.of_mixture(mixture, sdes[name]())
                everything = name == "vp" and number == 0
                measured[f"mixture {number + 1}, {name}"] = problem.measure(everything)
    return measured


def mixtures() -> list[GaussianMixture]:
    """Three, of different shapes; no constant of the library was fitted to them alone."""
    made = []
    for seed, (num, spread, low, high) in enumerate(
        [(5, 0.8, 0.15, 0.15), (3, 0.6, 0.2, 0.3), (6, 0.5, 0.1, 0.2)]
    ):
        rng = np.random.default_rng(seed)
        weights = rng.uniform(0.5, 2, num)
        made.append(
            GaussianMixture(
                weights=jnp.asarray(weights / weights.sum()),
                means=jnp.asarray(rng.normal(size=(num, 8)) * spread),
                stds=jnp.asarray(rng.uniform(low, high, num)),
            )
        )
    return made


class Problem:
    """An SDE, a model, points at t_min, and how the divergence is taken.

    Args:
      sde, model, x, t_min, divergence: as `samplers.log_prob` takes them.
      data_std: of the data.
      fine: an integrator whose error is negligible.
      least: the smallest tolerance that the precision allows.
      grading: of Adams.
    """

    def __init__(
        self,
        sde: SDE,
        model: Any,
        x: Array,
        t_min: float,
        divergence: samplers.Divergence,
        data_std: float,
        fine: samplers.Integrator,
        least: int,
        grading: float = 0.0,
    ):
        self.sde, self.model, self.x, self.t_min = sde, model, x, t_min
        self.divergence, self.data_std, self.grading = divergence, data_std, grading
        self.tolerances = [10.0**-k for k in np.arange(1, least + 0.1, 0.5)]
        self.truth = self.solve(fine).log_prob
        self.unit = math.prod(x.shape[1:]) * math.log(2)

    @classmethod
    def of_mixture(cls, mixture: GaussianMixture, sde: SDE) -> "Problem":
        """256 points of the mixture with noise of σ/α = 10⁻³, or of the SDE's least."""
        t_min = float(sde.time_of_noise_to_signal(1e-3))
        data = mixture.sample(jax.random.key(0), (256, 8))
        x = sde.perturb(data, t_min, jax.random.normal(jax.random.key(1), data.shape))
        fine = RungeKutta(tableau="dop853", rtol=1e-11, atol=1e-11)
        std = float(jnp.std(data, axis=0).mean())
        return cls(sde, mixture.model(sde), x, t_min, Exact(), std, fine, 7)

    def solve(self, integrator: samplers.Integrator) -> samplers.LogProb:
        """Log-densities by an integrator, in the angle."""
        return samplers.log_prob(
            self.sde,
            self.model,
            self.x,
            self.divergence,
            t_min=self.t_min,
            data_std=self.data_std,
            integrator=integrator,
        )

    def error(self, log_prob: Array) -> float:
        """RMS in bits/dim."""
        return float(np.sqrt(np.mean(np.asarray(log_prob - self.truth) ** 2))) / self.unit

    def measure(self, everything: bool) -> dict[str, Curve]:
        """Error against calls of every contender."""
        steps = (14, 19, 24, 29, 34, 39, 49, 59, 69, 84, 99, 139, 199)
        host = HostLoop(self, fused=True)
        baseline = [host(tolerance) for tolerance in self.tolerances]
        curves = {
            "RK45 in t, batch-wide": [(calls, self.error(value)) for value, calls in baseline],
            "Adams": [self.point(self.adams(n)) for n in steps],
            "dopri5, PI": [self.point(RungeKutta(rtol=t, atol=t)) for t in self.tolerances],
        }
        if everything:
            curves |= self._integrators() | self._coordinates()
        return curves

    def adams(self, num_steps: int) -> Adams:
        """On the problem's grid."""
        return Adams(num_steps=num_steps, grading=self.grading)

    def _integrators(self) -> dict[str, Curve]:
        curves = {}
        for tableau in ("bosh3", "dopri5", "dop853"):
            for name, pid in (("PI", (0.4, 0.3, 0.0)), ("I", (0.0, 1.0, 0.0))):
                if (tableau, name) != ("dopri5", "PI"):
                    curves[f"{tableau}, {name}"] = [
                        self.point(RungeKutta(tableau=tableau, rtol=t, atol=t, pid=pid))
                        for t in self.tolerances
                    ]
        curves["dopri5, fixed"] = [
            self.point(FixedRungeKutta(num_steps=n)) for n in (3, 5, 8, 12, 18, 27)
        ]
        return curves

    def _coordinates(self) -> dict[str, Curve]:
        """dopri5 with the PI controller and per-example steps, in each coordinate."""
        curves = {}
        for time_name, (forward, backward) in TIMES.items():
            for scaled in (False, True):
                state = "unit variance" if scaled else "x/α"
                solve = jax.jit(partial(self._in_coordinate, forward, backward, scaled))
                curves[f"{time_name}, {state}"] = [
                    (int(calls.max()), self.error(value))
                    for value, calls in (solve(tol) for tol in self.tolerances)
                ]
        return curves

    def _in_coordinate(
        self, forward: Callable, backward: Callable, scaled: bool, tolerance: Array
    ) -> tuple[Array, Array]:
        """log p and evaluations by dy/dv in the time v = forward(n, s), y = c x/α.

        With y' = dy/dn = ε c + y (log c)' the flow is dy/dv = y' dn/dv.
        """
        sde, s = self.sde, self.data_std

        def scale(n: Array) -> Array:
            return 1 / jnp.hypot(s, n) if scaled else jnp.ones_like(n)

        def field(v: Array, y: tuple[Array, Array]) -> tuple[Array, Array]:
            n, n_slope = jax.jvp(lambda v: backward(sde, v, s), (v,), (jnp.ones_like(v),))
            c, c_slope = jax.jvp(scale, (n,), (jnp.ones_like(n),))
            t = sde.time_of_noise_to_signal(n)

            def slope(y: Array) -> Array:
                x = y * expand(sde.alpha(t) / c, y)
                noise = self.model(x, t).noise
                return expand(n_slope, y) * (expand(c, y) * noise + expand(c_slope / c, y) * y)

            value, estimates = value_and_divergence(slope, y[0], self.divergence)
            return value, estimates[:, 0] / self.x[0].size

        ends = [sde.noise_to_signal(t) for t in (self.t_min, 1.0)]
        starts = [scale(n) / sde.alpha(t) for n, t in zip(ends, (self.t_min, 1.0), strict=True)]
        solution = RungeKutta(rtol=tolerance, atol=tolerance, max_evaluations=4000).solve(
            field,
            (self.x * starts[0], jnp.zeros(len(self.x))),
            forward(sde, ends[0], s),
            forward(sde, ends[1], s),
        )
        change = jnp.log(starts[0]) - jnp.log(starts[1]) + solution.y[1]
        latents = solution.y[0] / starts[1]
        return sde.prior_log_prob(latents) + self.x[0].size * change, solution.evaluations

    def point(self, integrator: samplers.Integrator) -> tuple[int, float]:
        """Calls of the slowest example, and the error."""
        result = self.solve(integrator)
        return int(result.evaluations.max()), self.error(result.log_prob)


TIMES = {
    "t": (
        lambda sde, n, s: sde.time_of_noise_to_signal(n),
        lambda sde, v, s: sde.noise_to_signal(v),
    ),
    "log n": (lambda sde, n, s: jnp.log(n / s), lambda sde, v, s: s * jnp.exp(v)),
    "arctan n/s": (lambda sde, n, s: jnp.arctan(n / s), lambda sde, v, s: s * jnp.tan(v)),
    "n/(s + n)": (lambda sde, n, s: n / (s + n), lambda sde, v, s: s * v / (1 - v)),
}


class HostLoop:
    """log p by SciPy's RK45 on [x, log p] in t, on the host.

    Args:
      problem: what is solved.
      fused: value and divergence by one compiled call; else by two, as the reference does.
    """

    def __init__(self, problem: Problem, *, fused: bool):
        self.problem, self.fused = problem, fused
        sde, divergence = problem.sde, problem.divergence

        def drift(model: Any, x: Array, t: Array) -> Array:
            return sde.probability_flow_drift(x, t, prediction.to_score(sde, t, model(x, t)))

        def both(model: Any, x: Array, t: Array) -> tuple[Array, Array]:
            field = partial(drift, model, t=t)
            value, estimates = value_and_divergence(field, x, divergence)
            return value, estimates.mean(axis=1)

        def gradient(model: Any, x: Array, t: Array) -> Array:
            probe = divergence.probes(x)[0]
            product = jax.grad(lambda x: jnp.sum(drift(model, x, t) * probe))(x)
            return jnp.sum(product * probe, axis=tuple(range(1, x.ndim)))

        self.drift, self.both, self.gradient = jax.jit(drift), jax.jit(both), jax.jit(gradient)

    def __call__(self, tolerance: float) -> tuple[np.ndarray, int]:
        """log p and the calls of the network (of two passes each where they are not fused)."""
        problem, x = self.problem, self.problem.x

        def field(t: float, state: np.ndarray) -> np.ndarray:
            at = jnp.asarray(state[: x.size].reshape(x.shape), x.dtype)
            arguments = problem.model, at, jnp.asarray(t, x.dtype)
            if self.fused:
                value, divergence = self.both(*arguments)
            else:
                value, divergence = self.drift(*arguments), self.gradient(*arguments)
            return np.concatenate([np.asarray(value).ravel(), np.asarray(divergence)])

        start = np.concatenate([np.asarray(x).ravel(), np.zeros(len(x))])
        solution = solve_ivp(field, (problem.t_min, 1.0), start, rtol=tolerance, atol=tolerance)
        end = solution.y[:, -1]
        latents = jnp.asarray(end[: x.size].reshape(x.shape), x.dtype)
        prior = np.asarray(problem.sde.prior_log_prob(latents))
        return prior + end[x.size :], int(solution.nfev)


def trained(workdir: str) -> tuple[Problem, dict[str, Any], dict[str, Any]]:
    """The problem of a trained model, its probes' variances, and seconds an image."""
    from experiments import devices
    from experiments.data import to_model
    from experiments.data_gaussian import data_gaussian
    from experiments.trained import Trained

    opened = Trained.open(workdir, [], devices.make_mesh(1))
    test, sde = opened.dataset("test"), opened.sde
    values = jnp.asarray(test.values[:32])
    u = jax.random.uniform(jax.random.key(0), values.shape)
    x = to_model(values, test.levels, bool(opened.experiment.data.centered), u)
    problem = Problem(
        sde,
        opened.model,
        x,
        float(sde.time_of_noise_to_signal(1e-3)),
        Hutchinson.draw(jax.random.key(1), x.shape),
        opened.experiment.data.std,
        Adams(num_steps=1500, grading=0.8),
        5,
        grading=0.8,
    )
    control = data_gaussian(opened.experiment, opened.dataset("train"))
    return problem, probe_variances(problem, control), speed(problem)


def probe_variances(problem: Problem, control: Any) -> dict[str, Any]:
    """Standard deviation of one example's estimate [bits/dim] × √seconds, by kind and number.

    One probe repeated has σ²/n after n runs of T seconds: an estimator's worth is σ √T, and the
    factor is the square of its ratio to one plain probe's.
    """
    rows: dict[str, Any] = {}
    integrator = problem.adams(29)
    for kind, num, controlled in (
        ("rademacher", 1, False),
        ("rademacher", 4, False),
        ("rademacher", 16, False),
        ("rademacher", 1, True),
        ("rademacher", 4, True),
        ("gaussian", 1, False),
        ("gaussian", 1, True),
        ("orthogonal", 16, False),
        ("orthogonal", 16, True),
    ):
        draws, seconds = [], []
        for repeat in range(6):
            probes = Hutchinson.draw(
                jax.random.key(10 + repeat),
                problem.x.shape,
                num,
                kind=kind,
                control=control if controlled else None,
            )
            start = time.perf_counter()
            result = samplers.log_prob(
                problem.sde,
                problem.model,
                problem.x,
                probes,
                t_min=problem.t_min,
                data_std=problem.data_std,
                integrator=integrator,
            )
            draws.append(np.asarray(result.log_prob))
            seconds.append(time.perf_counter() - start)
        deviation = float(np.sqrt(np.var(draws, axis=0, ddof=1).mean())) / problem.unit
        name = f"{kind}, {num}" + (", control" if controlled else "")
        took = statistics.median(seconds[1:])
        rows[name] = {"std": deviation, "seconds": took, "work": deviation**2 * took}
    plain = rows["rademacher, 1"]["work"]
    for name, row in rows.items():
        row["factor"] = plain / row["work"]
        print(name, {key: float(f"{value:.3g}") for key, value in row.items()})
    return rows


def speed(problem: Problem) -> dict[str, Any]:
    """Seconds an image: ours at no more than the host loop's error at 10⁻⁵, against it; paired."""
    host = HostLoop(problem, fused=False)
    log_prob, calls = host(1e-5)
    target = problem.error(jnp.asarray(log_prob))
    tried = {n: problem.point(problem.adams(n))[1] for n in (49, 69, 99, 139, 199)}
    num_steps = next((n for n, error in tried.items() if error <= target), 199)
    ours, theirs = [], []
    for _ in range(5):
        start = time.perf_counter()
        problem.solve(problem.adams(num_steps)).log_prob.block_until_ready()
        middle = time.perf_counter()
        host(1e-5)
        ours.append(middle - start)
        theirs.append(time.perf_counter() - middle)
    num = len(problem.x)
    report = {
        "ours": statistics.median(ours) / num,
        "host": statistics.median(theirs) / num,
        "ratio": statistics.median(b / a for a, b in zip(ours, theirs, strict=True)),
        "error": tried[num_steps],
        "host_error": target,
        "calls": num_steps + 1,
        "host_calls": calls,
    }
    print("seconds an image", report)
    return report


def calls_for(points: Curve, target: float) -> int | None:
    """Calls of the first point of a curve below the target."""
    return next((calls for calls, error in points if error <= target), None)


def summary(result: dict[str, Any]) -> str:
    """The factors of Adams against the baseline, in words."""
    parts = []
    for target in (1e-3, 1e-4):
        factors = {}
        for name, curves in result["problems"].items():
            base = calls_for(curves["RK45 in t, batch-wide"], target)
            ours = calls_for(curves["Adams"], target)
            if base and ours:
                factors[name] = base / ours
        mixed = [f for name, f in factors.items() if name.startswith("mixture")]
        text = (
            f"{min(mixed):.1f} to {max(mixed):.1f} times fewer at {target:g} bits/dim on mixtures"
        )
        if "digits, vp" in factors:
            text += f" and {factors['digits, vp']:.1f} times on trained digits"
        elif "digits, vp" in result["problems"]:
            text += ", which it does not reach in 200 on trained digits (dopri5 does)"
        parts.append(text)
    return "; ".join(parts)


def draw(problems: dict[str, dict[str, Curve]]) -> None:
    """Error against calls, a panel for every question."""
    from matplotlib.figure import Figure

    first, *_ = problems
    curves = problems[first]
    times = [name for name in curves if "," in name and ("variance" in name or "x/α" in name)]
    integrators = [name for name in curves if name not in times]
    panels = [(f"{first}: coordinates", curves, [*times, "RK45 in t, batch-wide"])]
    panels.append((f"{first}: integrators", curves, integrators))
    last = list(problems)[-1]
    panels.append((last, problems[last], list(problems[last])))
    figure = Figure(figsize=(16, 5), dpi=80, layout="constrained")
    for axes, (title, lines, names) in zip(figure.subplots(1, 3), panels, strict=True):
        for name in names:
            style = "k--" if name.startswith("RK45") else "-"
            axes.loglog(*zip(*lines[name], strict=True), style, marker=".", label=name)
        axes.set(title=title, xlabel="network calls", ylabel="RMS error, bits/dim", xlim=(10, 400))
        axes.grid(visible=True, which="both", alpha=0.2)
        axes.legend(fontsize="small")
    path = ROOT / "docs" / "likelihood.png"
    figure.savefig(path)
    print(path)


if __name__ == "__main__":
    main()
