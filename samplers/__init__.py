"""From (sde, model) to samples, latents and log-densities. Knows no network."""

from samplers.adams import Adams
from samplers.divergence import Divergence, Exact, Hutchinson, probe_kinds
from samplers.driver import integrate, sample
from samplers.fixed_adams import FixedAdams
from samplers.grids import grids
from samplers.integrator import Integrator
from samplers.langevin import AnnealedLangevin, Langevin
from samplers.predictors import Ancestral, EulerMaruyama, NoPredictor, Predictor, ReverseDiffusion
from samplers.probability_flow import (
    Flow,
    LogProb,
    decode,
    decode_with_log_prob,
    encode,
    log_prob,
)
from samplers.runge_kutta import FixedRungeKutta, RungeKutta, tableaux
from samplers.solver import Corrector, Plan, Solver, Update, correctors, solvers
from samplers.variational import Bound, elbo

__all__ = [
    "Adams",
    "Ancestral",
    "AnnealedLangevin",
    "Bound",
    "Corrector",
    "Divergence",
    "EulerMaruyama",
    "Exact",
    "FixedAdams",
    "FixedRungeKutta",
    "Flow",
    "Hutchinson",
    "Integrator",
    "Langevin",
    "LogProb",
    "NoPredictor",
    "Plan",
    "Predictor",
    "ReverseDiffusion",
    "RungeKutta",
    "Solver",
    "Update",
    "correctors",
    "decode",
    "decode_with_log_prob",
    "elbo",
    "encode",
    "grids",
    "integrate",
    "log_prob",
    "probe_kinds",
    "sample",
    "solvers",
    "tableaux",
]
