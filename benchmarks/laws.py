"""The laws that solvers and correctors sample, against closed forms.

    python -m benchmarks.laws [--sdes=vp,ve,subvp,flow] [--solvers=NAME,…]

On Gaussian data N(0.7, 0.25 I), every solver on its own grid of 50 steps (a predictor: uniform in
log-SNR), from the prior to σ/α = 0.05 and a last denoising; alone, and with 1 and 4 corrections by
Langevin and by annealed Langevin steps of snr 0.16 before each step.

explained    mean and variance with those steps, in closed form: solvers, and Langevin steps of a
             size that does not depend on the state, are linear in the first state and in what they
             draw, so one run with a row for each of them gives both, with no sampling. It holds for
             any number of dimensions D but for the size of Langevin's steps, which is taken at the
             mean of ‖score‖². What is left of the right variance is what steps of that size make.
sampled      of 2¹⁵ numbers, with Langevin's own steps, in D = 1, 2, 8, 64 and 1024 dimensions; and
             alone and annealed at D = 1 and 1024.

A cell is right if the sampled mean and variance differ from the explained ones by at most five
standard errors, the variance by 2/(128 + D) of itself more where Langevin's steps depend on the
state (`samplers.solvers.langevin`). The adaptive SDE has no closed form at finite steps; its
variance is to be within 3 % of the right one. The result goes to benchmarks/results/laws.json and
docs/laws.md.
"""

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import samplers
from benchmarks.report import ROOT, machine, read, write
from samplers import AnnealedLangevin, correctors, grids, solvers
from samplers.solvers.langevin import Scales
from samplers.solvers.predictors import Predictor
from samplers.solvers.solver import Corrector, Solver
from sde_lib import SDE, Gaussian, Prediction, sdes

SDES = ("vp", "ve", "subvp", "flow")
DIMENSIONS = (1, 2, 8, 64, 1024)
NUMBERS, STEPS, SNR, MIN_NOISE = 2**15, 50, 0.16, 0.05
MEAN, STD = 0.7, 0.5
# Their drift is infinite where α = 0.
_FROM_A_SIGNAL = ("euler_maruyama", "reverse_diffusion")

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


class MeanLangevin(AnnealedLangevin):
    """Langevin steps for a score of its mean size in D dimensions of Gaussian data.

    Args:
      dim: D; 0: annealed Langevin steps.
      variance: of the data.
    """

    dim: Array | float = 0.0
    variance: float = STD**2

    def plan(self, sde: SDE, steps: Any) -> Scales:
        """ε = 2 a (r σ)² (K + D)/(K + D σ²/v), v the variance at the time."""
        scales = super().plan(sde, steps)
        share = scales.sigma**2 / (sde.alpha(steps.start) ** 2 * self.variance + scales.sigma**2)
        return Scales(scales.scale * (128 + self.dim) / (128 + self.dim * share), scales.sigma)


class Case(NamedTuple):
    """A solver with a number of corrections a step under an SDE, and its grid."""

    sde: SDE
    solver: Solver
    corrections: int
    grid: Array

    @classmethod
    def of(cls, sde_name: str, name: str, corrections: int) -> "Case":
        sde, solver = sdes[sde_name](), solvers[name]()
        grid = "log_snr" if isinstance(solver, Predictor) else solver.grid
        t_max = 0.98 if name in _FROM_A_SIGNAL and sde_name == "flow" else 1.0
        t_min = float(sde.time_of_noise_to_signal(MIN_NOISE))
        return cls(sde, solver, corrections, grids[grid](sde, STEPS, t_min, t_max))

    @property
    def variance(self) -> float:
        """Of E[x_0 | x] at the last time."""
        alpha, sigma = float(self.sde.alpha(self.grid[-1])), float(self.sde.sigma(self.grid[-1]))
        return alpha**2 * STD**4 / (alpha**2 * STD**2 + sigma**2)

    def _sampler(self, corrector: Corrector | None) -> samplers.GridSampler:
        return samplers.GridSampler(
            solver=self.solver, grid=self.grid, corrector=corrector, data_std=STD, denoise=True
        )

    def explained(self) -> Callable[[float], tuple[Array, Array]]:
        """D → (mean, variance) of the samples, in closed form; one program."""
        corrector = MeanLangevin(snr=SNR, num_steps=self.corrections) if self.corrections else None
        sampler = self._sampler(corrector)
        number = sampler.num_evaluations(self.sde)
        first = {"step": 2, "renoise": 2 + number}
        rows = 2 + number * (2 if self.solver.renoises else 1)

        def predict(x: Array, t: Array) -> Prediction:
            alpha, sigma = self.sde.alpha(t), self.sde.sigma(t)
            centred = (x - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)
            return Prediction(MEAN + alpha * STD**2 * centred, sigma * centred)

        @quick_jit
        def run(dim: Array) -> tuple[Array, Array]:
            start = self.grid[0]
            std = jnp.hypot(self.sde.alpha(start) * STD, self.sde.sigma(start))
            corrected = corrector and dataclasses.replace(corrector, dim=dim)
            x = (
                dataclasses.replace(sampler, corrector=corrected)
                .integrate(
                    lambda stream, k: jnp.zeros((rows, 1)).at[first[stream] + k].set(1.0),
                    self.sde,
                    predict,
                    jnp.zeros((rows, 1)).at[1].set(std),
                )
                .x[:, 0]
            )
            return x[0], jnp.sum((x[1:] - x[0]) ** 2)

        return run

    def sampled(self, name: str, dim: int) -> tuple[float, float]:
        """Mean and variance of samples with a corrector."""
        corrector: Corrector | None = None
        if self.corrections:
            corrector = correctors[name](snr=SNR, num_steps=self.corrections)
        sampler = self._sampler(corrector)

        @jax.jit
        def run(key: Array) -> Array:
            model = Gaussian.isotropic(dim, STD, mean=MEAN).model(self.sde)
            return sampler.draw(key, self.sde, model, (NUMBERS // dim, dim)).x

        x = np.asarray(run(jax.random.key(0)), np.float64)
        return float(x.mean()), float(x.var())


def measure(sde_name: str, name: str) -> dict[str, Any]:
    """All cells of a solver under an SDE: errors of mean and variance, in per cent."""
    cells: dict[str, Any] = {}
    for corrections in (0, 1, 4):
        case = Case.of(sde_name, name, corrections)
        explained = case.explained()
        for corrector in ("langevin", "annealed_langevin") if corrections else ("none",):
            langevin = corrector == "langevin"
            for dim in DIMENSIONS if langevin else (1, 1024):
                mean, variance = map(float, explained(float(dim if langevin else 0)))
                label = f"{corrector} {corrections}" if corrections else corrector
                cells[f"{label}, D = {dim}"] = _cell(
                    case, (mean, variance), case.sampled(corrector, dim), dim if langevin else 0
                )
    return cells


def _cell(case: Case, explained: tuple, sampled: tuple, langevin_dim: int) -> dict[str, Any]:
    """What was explained and sampled, and whether the two agree.

    Args:
      langevin_dim: D where the steps are Langevin's own, else 0.
    """
    wider = 2 / (128 + langevin_dim) if langevin_dim else 0.0
    off_mean = abs(sampled[0] - explained[0]) / np.sqrt(explained[1] / NUMBERS)
    off = abs(sampled[1] / explained[1] - 1)
    return {
        "explained": round(100 * (explained[1] / case.variance - 1), 2),
        "sampled": round(100 * (sampled[1] / case.variance - 1), 2),
        "mean": round(100 * (sampled[0] - MEAN) / STD, 2),
        "right": bool(off_mean < 5 and off < wider + 5 * np.sqrt(2 / NUMBERS)),
    }


def measure_adaptive(sde_name: str) -> dict[str, Any]:
    """Cells of the adaptive SDE, at its own tolerance and at a loose one."""
    sde, cells = sdes[sde_name](), {}
    t_min = float(sde.time_of_noise_to_signal(MIN_NOISE))
    variance = float(sde.alpha(t_min) ** 2 * STD**2 + sde.sigma(t_min) ** 2)
    for dim in DIMENSIONS:
        for tolerance in (0.005, 0.05):
            sampler = samplers.AdaptiveSDESampler(
                t_min=t_min, rtol=tolerance, atol=tolerance, data_std=STD, denoise=False
            )
            model = Gaussian.isotropic(dim, STD, mean=MEAN).model(sde)
            drawn = sampler.draw(jax.random.key(0), sde, model, (NUMBERS // dim, dim))
            x = np.asarray(drawn.x, np.float64)
            off = x.var() / variance - 1
            mean = (x.mean() / float(sde.alpha(t_min)) - MEAN) / STD
            cells[f"tolerance {tolerance}, D = {dim}"] = {
                "sampled": round(100 * off, 2),
                "mean": round(100 * mean, 2),
                "right": bool(abs(off) < 0.03 + 5 * np.sqrt(2 / NUMBERS)),
            }
    return cells


def main() -> None:
    """Measure what is asked for, beside what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    moving = [name for name in solvers if solvers[name]().evaluations]
    parser.add_argument("--sdes", default=",".join(SDES))
    parser.add_argument("--solvers", default=",".join([*moving, "adaptive_sde"]))
    options = parser.parse_args()
    for sde_name in options.sdes.split(","):
        for name in options.solvers.split(","):
            adaptive = name == "adaptive_sde"
            cells = measure_adaptive(sde_name) if adaptive else measure(sde_name, name)
            wrong = [label for label, cell in cells.items() if not cell["right"]]
            print(sde_name, name, f"{len(cells) - len(wrong)} of {len(cells)} right", *wrong)
            result = read("laws") | machine()
            result.setdefault("cells", {}).setdefault(sde_name, {})[name] = cells
            write("laws", result)
    (ROOT / "docs" / "laws.md").write_text(page(read("laws")["cells"]), encoding="utf-8")


_COLUMNS = {
    "alone": "none, D = 1024",
    "Langevin ×1, D = 1": "langevin 1, D = 1",
    "D = 8": "langevin 1, D = 8",
    "D = 1024": "langevin 1, D = 1024",
    "Langevin ×4, D = 1": "langevin 4, D = 1",
    "D = 8 ": "langevin 4, D = 8",
    "D = 1024 ": "langevin 4, D = 1024",
    "annealed ×1": "annealed_langevin 1, D = 1024",
    "annealed ×4": "annealed_langevin 4, D = 1024",
}


def page(cells: dict[str, dict[str, Any]]) -> str:
    """docs/laws.md."""
    every = [c for sde in cells.values() for solver in sde.values() for c in solver.values()]
    right = sum(cell["right"] for cell in every)
    lines = [
        "# The laws that samplers sample",
        "",
        "Error of the variance of samples of N(0.7, 0.25 I), in per cent: as steps of that size",
        "explain it in closed form / as sampled. 50 steps, from the prior to σ/α = 0.05 and a last",
        f"denoising, {SNR} for snr. A sampled variance is known to ± 0.8 %. {right} of",
        f"{len(every)} cells agree with the closed form within five standard errors, in 1, 2, 8,",
        "64 and 1024 dimensions; `benchmarks/results/laws.json` has all of them, and the means.",
        "Made by `python -m benchmarks.laws`, which says more.",
    ]
    for sde_name, solved in cells.items():
        lines += ["", f"## {sde_name}", "", f"| solver | {' | '.join(map(str.strip, _COLUMNS))} |"]
        lines += ["|---" * (len(_COLUMNS) + 1) + "|"]
        for name, row in solved.items():
            if name != "adaptive_sde":
                shown = [row[label] for label in _COLUMNS.values()]
                texts = [f"{cell['explained']:.1f} / {cell['sampled']:.1f}" for cell in shown]
                lines += [f"| {name} | {' | '.join(texts)} |"]
        if "adaptive_sde" in solved:
            shown = [f"{k}: {cell['sampled']:.1f}" for k, cell in solved["adaptive_sde"].items()]
            lines += ["", f"adaptive_sde, as sampled: {'; '.join(shown)}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
