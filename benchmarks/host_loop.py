"""The baseline: SciPy's RK45 in t, on the host, with one step size for the whole batch."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.integrate import solve_ivp

from benchmarks.likelihood_problem import Problem
from samplers.divergence import value_and_divergence
from sde_lib import prediction


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
