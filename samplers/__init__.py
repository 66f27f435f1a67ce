"""From (sde, model) to samples, latents and log-densities. Knows no network."""

from samplers.adaptive_sde import AdaptiveSDESampler
from samplers.coefficients.tableaux import pairs, tableaux
from samplers.coordinates.forms import forms
from samplers.divergence import Divergence, Exact, Hutchinson, probe_kinds
from samplers.driver import GridSampler, SamplePath, sample
from samplers.fitted_grid import FittedGrid, fit_grid
from samplers.flow_sampler import FlowSampler
from samplers.grids import grids
from samplers.integrators.adams import Adams
from samplers.integrators.fixed_adams import FixedAdams
from samplers.integrators.integrator import Integrator
from samplers.integrators.runge_kutta import FixedRungeKutta, RungeKutta
from samplers.probability_flow import (
    Flow,
    LogProb,
    decode,
    decode_with_log_prob,
    encode,
    log_prob,
)
from samplers.sampler import Sampler, Samples
from samplers.solvers.dpm_solver import (
    DPMSolverPP2M,
    DPMSolverPP2S,
    DPMSolverPP3M,
    SDEDPMSolverPP2M,
    SDEDPMSolverPP3M,
)
from samplers.solvers.langevin import AnnealedLangevin, Langevin
from samplers.solvers.multistep import DEIS, IPNDM, AdamsMoulton, ExponentialAdams, Multistep
from samplers.solvers.predictors import (
    Ancestral,
    EulerMaruyama,
    NoPredictor,
    Predictor,
    ReverseDiffusion,
)
from samplers.solvers.restart import Churn, Restart
from samplers.solvers.runge_kutta import DDIM, AnyRungeKutta, Heun, Midpoint
from samplers.solvers.sa_solver import SASolver
from samplers.solvers.solver import Corrector, Plan, Solver, Steps, Update, correctors, solvers
from samplers.solvers.unipc import UniPC
from samplers.variational import REPLICATES, Bound, elbo

__all__ = [
    "DDIM",
    "DEIS",
    "IPNDM",
    "REPLICATES",
    "Adams",
    "AdamsMoulton",
    "AdaptiveSDESampler",
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
    "FittedGrid",
    "FixedAdams",
    "FixedRungeKutta",
    "Flow",
    "FlowSampler",
    "GridSampler",
    "Heun",
    "Hutchinson",
    "Integrator",
    "Langevin",
    "LogProb",
    "Midpoint",
    "Multistep",
    "NoPredictor",
    "Plan",
    "Predictor",
    "Restart",
    "ReverseDiffusion",
    "RungeKutta",
    "SASolver",
    "SDEDPMSolverPP2M",
    "SDEDPMSolverPP3M",
    "SamplePath",
    "Sampler",
    "Samples",
    "Solver",
    "Steps",
    "UniPC",
    "Update",
    "correctors",
    "decode",
    "decode_with_log_prob",
    "elbo",
    "encode",
    "fit_grid",
    "forms",
    "grids",
    "log_prob",
    "pairs",
    "probe_kinds",
    "sample",
    "solvers",
    "tableaux",
]
