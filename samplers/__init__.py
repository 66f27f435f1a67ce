"""From (sde, model) to samples, latents and log-densities. Knows no network."""

from samplers.divergence import Divergence, Exact, Hutchinson
from samplers.driver import integrate, sample
from samplers.grids import grids
from samplers.langevin import AnnealedLangevin, Langevin
from samplers.predictors import Ancestral, EulerMaruyama, NoPredictor, Predictor, ReverseDiffusion
from samplers.probability_flow import Flow, LogProb, decode, encode, log_prob
from samplers.runge_kutta import tableaux
from samplers.solver import Corrector, Plan, Solver, Update, correctors, solvers

__all__ = [
    "Ancestral",
    "AnnealedLangevin",
    "Corrector",
    "Divergence",
    "EulerMaruyama",
    "Exact",
    "Flow",
    "Hutchinson",
    "Langevin",
    "LogProb",
    "NoPredictor",
    "Plan",
    "Predictor",
    "ReverseDiffusion",
    "Solver",
    "Update",
    "correctors",
    "decode",
    "encode",
    "grids",
    "integrate",
    "log_prob",
    "sample",
    "solvers",
    "tableaux",
]
