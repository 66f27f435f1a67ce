"""Predictors: four numbers a step.

Every one-evaluation predictor of an affine SDE is linear in what it knows,

    mean = c_x x + c_d data + c_ε noise,    x_s = mean + c_z z,   z ~ N(0, I)     (1)

so a predictor is a rule for the four coefficients of the step from t down to s: a `LinearSolver`
whose one direction is c_d data + c_ε noise. With Δ = t − s,
score = −noise/σ_t and the forward kernel x_t | x_s ~ N(a x_s, v I):

    Euler–Maruyama       mean = (1 − f Δ) x + g² Δ score,      c_z = g √Δ             (2)
    reverse diffusion    mean = (2 − a) x + v score,           c_z = √v               (3)
    ancestral            mean = α_s data + √(σ_s² − c_z²) noise,  c_z² = η² v σ_s²/σ_t²  (4)

`discretization` says where a and v come from: "exact", the kernel of the SDE from s to t; or
"published", the reference's tables for N steps (DDPM's for VP, SMLD's for VE), N the grid's length.

References: Song et al. 2021, App. D (2), eq. 46 (3), App. F (4); Song et al. 2021 "DDIM",
eq. 12 (η).
"""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from samplers.solvers.linear import LinearSolver, Row
from samplers.solvers.solver import Draw, Plan, Solver, Steps, Update, solvers
from sde_lib import SDE, Prediction, Transition, number, static


class Linear(NamedTuple):
    """The coefficients c_x, c_d, c_ε and c_z of eq. 1, scalars."""

    x: Array | float
    data: Array | float
    noise: Array | float
    std: Array | float

    @property
    def row(self) -> Row:
        """The same as a row with one direction."""
        x, data, noise, std = (jnp.asarray(c, dtype=float) for c in self)
        return Row.step(x, jnp.ones(1), direction=jnp.stack([data, noise]), std=std)


def kernel(
    sde: SDE, s: Array | float, t: Array | float, num_steps: int, discretization: str
) -> Transition:
    """The forward kernel x_t | x_s ~ N(a x_s, v I) of a step, a and v scalars.

    Args:
      sde: the SDE.
      s, t: the times of the step, s < t.
      num_steps: N, the number of steps of the grid.
      discretization: "exact", of the SDE; or "published", of the reference's tables for N steps.
    """
    if discretization == "published":
        return sde.discrete_transition(t, num_scales=num_steps)
    return sde.transition(s, t)


class Predictor(LinearSolver):
    """A solver of one evaluation a step and no memory: subclass it for one of your own.

    A step from t to s, eq. 1 of `predictors`, where `coefficients` is all that a subclass says:

        c = coefficients(sde, t, s, num_steps)
        mean = c.x * x + c.data * data + c.noise * noise
        x = mean + c.std * z

    Args:
      discretization: where a rule that uses the forward kernel takes it from, "exact" or
        "published".
    """

    usual_steps = 1000  # N of Ho et al. 2020 and Song et al. 2021.

    discretization: str = static(default="exact", choices=("exact", "published"))

    @abc.abstractmethod
    def coefficients(self, sde: SDE, t: Array | float, s: Array | float, num_steps: int) -> Linear:
        """The coefficients of eq. 1 for one step.

        Args:
          sde: the SDE.
          t, s: the times from and to which the step goes, scalars.
          num_steps: the number of steps of the grid.
        """

    @property
    def memory(self) -> int:
        """The newest evaluation alone."""
        return 1

    @property
    def draws(self) -> bool:
        """Yes, even if c_z is 0: it may be traced."""
        return True

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """One evaluation a step, at its start."""

        def row(t: Array, s: Array) -> Row:
            return self.coefficients(sde, t, s, len(steps.start)).row

        return Plan.one_per_step(steps.start, jax.vmap(row)(steps.start, steps.end))


def _from_score(x: Array, score: Array, std: Array, sigma: Array) -> Linear:
    """The coefficients of a rule that is stated by its coefficient of the score."""
    return Linear(x=x, data=jnp.zeros(()), noise=-score / sigma, std=std)


@solvers.register("euler_maruyama")
class EulerMaruyama(Predictor):
    """The Euler–Maruyama method on the reverse-time SDE, eq. 2 of `predictors`; weak order 1.

    A step of length Δ from t:

        mean = (1 - f * Δ) * x + g**2 * Δ * score
        x = mean + g * sqrt(Δ) * z

    Args:
      discretization: "exact", Δ from the grid; "published", Δ = 1/N.
      probability_flow: solve the probability-flow ODE instead, half the score and no noise: Euler's
        method, order 1.
    """

    reference = "Song et al. 2021"

    probability_flow: bool = static(default=False)

    def coefficients(self, sde: SDE, t: Array | float, s: Array | float, num_steps: int) -> Linear:
        """The coefficients of eq. 2."""
        step = 1 / num_steps if self.discretization == "published" else t - s
        score = sde.diffusion(t) ** 2 * step
        x = 1 - sde.drift_coefficient(t) * step
        if self.probability_flow:
            return _from_score(x, score / 2, jnp.zeros(()), sde.sigma(t))
        return _from_score(x, score, jnp.sqrt(score), sde.sigma(t))


@solvers.register("reverse_diffusion")
class ReverseDiffusion(Predictor):
    """The forward discretization run backwards, eq. 3 of `predictors`; weak order 1.

    A step from t to s, with the forward kernel N(a x_s, v I) from s to t:

        mean = (2 - a) * x + v * score
        x = mean + sqrt(v) * z

    Args:
      discretization: where a and v come from, "exact" or "published".
      probability_flow: half the score and no noise: a deterministic method of order 1.
    """

    reference = "Song et al. 2021"

    probability_flow: bool = static(default=False)

    def coefficients(self, sde: SDE, t: Array | float, s: Array | float, num_steps: int) -> Linear:
        """The coefficients of eq. 3."""
        step = kernel(sde, s, t, num_steps, self.discretization)
        if self.probability_flow:
            return _from_score(2 - step.alpha, step.variance / 2, jnp.zeros(()), sde.sigma(t))
        return _from_score(2 - step.alpha, step.variance, jnp.sqrt(step.variance), sde.sigma(t))


@solvers.register("ancestral")
class Ancestral(Predictor):
    """Ancestral sampling (DDPM): x_s drawn given x_t and the predicted data; weak order 1.

    A step from t to s, eq. 4 of `predictors`, with the forward kernel N(a x_s, v I) from s to t:

        std = η * sqrt(v) * σ_s / σ_t
        mean = α_s * data + sqrt(σ_s**2 - std**2) * noise
        x = mean + std * z

    With η = 1 the mean is E[x_s | x_t, data]. Finite where α_t = 0.

    Args:
      discretization: "exact"; or "published", mean = (x + v score)/a with the reference's tables.
      variance: of the noise, "posterior" (that of x_s given x_t and data) or "forward" (v). The
        reference has "forward" for VP and "posterior" for VE.
      eta: η ≥ 0, with discretization "exact" and variance "posterior" at most 1; the noise has η
        times that deviation and the rest of σ_s is the predicted noise's: 0 is DDIM.
    """

    reference = "Ho et al. 2020; Song et al. 2021, DDIM (eta)"

    variance: str = static(default="posterior", choices=("posterior", "forward"))
    eta: Array | float = number(default=1.0, low=0, high=1)

    def coefficients(self, sde: SDE, t: Array | float, s: Array | float, num_steps: int) -> Linear:
        """The coefficients of eq. 4."""
        forward = self.variance == "forward"
        step = kernel(sde, s, t, num_steps, self.discretization)
        if self.discretization == "published":
            posterior = step.variance * (1 - step.fraction) / step.alpha**2
            std = jnp.sqrt(step.variance if forward else posterior)
            return _from_score(1 / step.alpha, step.variance / step.alpha, std, sde.sigma(t))
        sigma, drawn = sde.sigma(s), self.eta**2 * step.fraction
        std = self.eta * jnp.sqrt(step.variance) if forward else sigma * jnp.sqrt(drawn)
        return Linear(jnp.zeros(()), sde.alpha(s), sigma * jnp.sqrt(1 - drawn), std)


@solvers.register("none")
class NoPredictor(Solver):
    """No predictor: the state changes by its corrector alone (annealed Langevin dynamics)."""

    reference = "Song & Ermon 2019"

    @property
    def evaluations(self) -> int:
        """None: a step is its corrections."""
        return 0

    def plan(self, sde: SDE, steps: Steps) -> Plan:
        """N steps of no evaluations."""
        del sde
        return Plan(jnp.zeros((len(steps.start), 0)), None)

    def update(
        self, draw: Draw, prediction: Prediction, x: Array, coefficients: None, state: None
    ) -> Update:
        """x as it is; the loop never calls it, as it has no evaluations."""
        return Update(x, x, state)
