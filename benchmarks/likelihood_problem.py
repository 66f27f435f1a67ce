"""What log-densities are computed of, and how far they are off."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import samplers
from samplers import ByTolerance, Exact, ProbabilityFlow, RungeKutta
from samplers.divergence import value_and_divergence
from sde_lib import SDE, GaussianMixture, Model, expand

Curve = list[tuple[int, float]]
"""(calls, error in bits/dim), by falling tolerance or growing number of steps."""


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
      sde, model, x, t_min, divergence: as `samplers.ProbabilityFlow` takes them.
      data_std: of the data.
      fine: an integrator whose error is negligible.
      least: k of the smallest tolerance, 10⁻ᵏ, that the precision allows.
    """

    def __init__(
        self,
        sde: SDE,
        model: Model,
        x: Array,
        t_min: float,
        divergence: samplers.Divergence,
        data_std: float,
        fine: samplers.Integrator,
        least: int,
    ):
        self.sde, self.model, self.x, self.t_min = sde, model, x, t_min
        self.divergence, self.data_std = divergence, data_std
        self.tolerances = [float(10.0**-k) for k in np.arange(1, least + 0.1, 0.5)]
        self.truth = self.solve(fine).log_prob
        self.unit = math.prod(x.shape[1:]) * math.log(2)

    @classmethod
    def of_mixture(cls, mixture: GaussianMixture, sde: SDE) -> "Problem":
        """256 points of the mixture with noise of σ/α = 10⁻³, or of the SDE's least."""
        t_min = float(sde.time_of_noise_to_signal(1e-3))
        data = mixture.sample(jax.random.key(0), (256, 8))
        x = sde.perturb(data, t_min, jax.random.normal(jax.random.key(1), data.shape))
        fine = RungeKutta(tableau="dop853", steps=ByTolerance(rtol=1e-11, atol=1e-11))
        std = float(jnp.std(data, axis=0).mean())
        return cls(sde, mixture.model(sde), x, t_min, Exact(), std, fine, 7)

    def solve(self, integrator: samplers.Integrator, data_std: float = 0) -> samplers.LogProb:
        """Log-densities by an integrator, in the angle; of the data's scale, or of another."""
        return self.flow(integrator, data_std).log_prob(self.x, self.divergence)

    def flow(self, integrator: samplers.Integrator, data_std: float = 0) -> ProbabilityFlow:
        """The flow by an integrator."""
        return ProbabilityFlow(
            sde=self.sde,
            model=self.model,
            t_min=self.t_min,
            data_std=data_std or self.data_std,
            integrator=integrator,
        )

    def error(self, log_prob: Array | np.ndarray) -> float:
        """RMS in bits/dim."""
        return float(np.sqrt(np.mean(np.asarray(log_prob - self.truth) ** 2))) / self.unit

    def point(self, integrator: samplers.Integrator, data_std: float = 0) -> tuple[int, float]:
        """Calls of the slowest example, and the error."""
        result = self.solve(integrator, data_std)
        return int(result.evaluations.max()), self.error(result.log_prob)

    def adaptive(self, make: Callable[..., samplers.Integrator], data_std: float = 0) -> Curve:
        """The curve of an integrator, made from its steps."""
        return [
            self.point(make(steps=ByTolerance(rtol=t, atol=t)), data_std) for t in self.tolerances
        ]

    def coordinates(self) -> dict[str, Curve]:
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
        steps = ByTolerance(rtol=tolerance, atol=tolerance, max_evaluations=4000)
        solution = RungeKutta(steps=steps).solve(
            field,
            (self.x * starts[0], jnp.zeros(len(self.x))),
            forward(sde, ends[0], s),
            forward(sde, ends[1], s),
        )
        change = jnp.log(starts[0]) - jnp.log(starts[1]) + solution.y[1]
        latents = solution.y[0] / starts[1]
        return sde.prior_log_prob(latents) + self.x[0].size * change, solution.evaluations


TIMES = {
    "t": (
        lambda sde, n, s: sde.time_of_noise_to_signal(n),
        lambda sde, v, s: sde.noise_to_signal(v),
    ),
    "log n": (lambda sde, n, s: jnp.log(n / s), lambda sde, v, s: s * jnp.exp(v)),
    "arctan n/s": (lambda sde, n, s: jnp.arctan(n / s), lambda sde, v, s: s * jnp.tan(v)),
    "n/(s + n)": (lambda sde, n, s: n / (s + n), lambda sde, v, s: s * v / (1 - v)),
}
