"""From (sde, model) to samples, latents and log-densities. Knows no network."""

from samplers.adams import Adams
from samplers.adaptive_sde import Adaptive, sample_adaptively
from samplers.divergence import Divergence, Exact, Hutchinson, probe_kinds
from samplers.dpm_solver import (
    DPMSolverPP2M,
    DPMSolverPP2S,
    DPMSolverPP3M,
    SDEDPMSolverPP2M,
    SDEDPMSolverPP3M,
)
from samplers.driver import Path, evaluations, integrate, sample, sample_path
from samplers.fitted_grid import Fitted, fit_grid
from samplers.fixed_adams import FixedAdams
from samplers.forms import forms
from samplers.grid_runge_kutta import DDIM, AnyRungeKutta, Heun, Midpoint, explicit
from samplers.grids import grids
from samplers.integrator import Integrator
from samplers.langevin import AnnealedLangevin, Langevin
from samplers.multistep import DEIS, IPNDM, AdamsMoulton, ExponentialAdams, Multistep
from samplers.predictors import Ancestral, EulerMaruyama, NoPredictor, Predictor, ReverseDiffusion
from samplers.probability_flow import (
    Flow,
    LogProb,
    decode,
    decode_with_log_prob,
    encode,
    log_prob,
)
from samplers.restart import Churn, Restart
from samplers.runge_kutta import FixedRungeKutta, RungeKutta, tableaux
from samplers.sa_solver import SASolver
from samplers.solver import Corrector, Plan, Solver, Steps, Update, correctors, solvers
from samplers.unipc import UniPC
from samplers.variational import REPLICATES, Bound, elbo

__all__ = [
    "DDIM",
    "DEIS",
    "IPNDM",
    "REPLICATES",
    "Adams",
    "AdamsMoulton",
    "Adaptive",
    "Ancestral",
    "AnnealedLangevin",
    "AnyRungeKutta",
    "Bound",
    "Churn",
    "Corrector",
    "DPMSolverPP2M",
    "DPMSolverPP2S",
    "DPMSolverPP3M",
    "Divergence",
    "EulerMaruyama",
    "Exact",
    "ExponentialAdams",
    "Fitted",
    "FixedAdams",
    "FixedRungeKutta",
    "Flow",
    "Heun",
    "Hutchinson",
    "Integrator",
    "Langevin",
    "LogProb",
    "Midpoint",
    "Multistep",
    "NoPredictor",
    "Path",
    "Plan",
    "Predictor",
    "Restart",
    "ReverseDiffusion",
    "RungeKutta",
    "SASolver",
    "SDEDPMSolverPP2M",
    "SDEDPMSolverPP3M",
    "Solver",
    "Steps",
    "UniPC",
    "Update",
    "correctors",
    "decode",
    "decode_with_log_prob",
    "elbo",
    "encode",
    "evaluations",
    "explicit",
    "fit_grid",
    "forms",
    "grids",
    "integrate",
    "log_prob",
    "probe_kinds",
    "sample",
    "sample_adaptively",
    "sample_path",
    "solvers",
    "tableaux",
]
