"""From (sde, model) to samples, latents and log-densities. Knows no network."""

from samplers.adaptive_sde import AdaptiveSDESampler
from samplers.coefficients.tableaux import pairs, tableaux
from samplers.control.constraint import Constraint
from samplers.control.transform import (
    ClassifierGuidance,
    Guidance,
    Transform,
    classifier_guided,
    guided,
    transforms,
)
from samplers.coordinates.forms import forms
from samplers.divergence import Divergence, Exact, Hutchinson, probe_kinds
from samplers.driver import GridSampler, SamplePath, sample
from samplers.fitted_grid import FittedGrid, fit_grid
from samplers.flow_sampler import FlowSampler
from samplers.grids import grids
from samplers.integrators.adams import Adams
from samplers.integrators.integrator import Integrator
from samplers.integrators.runge_kutta import RungeKutta
from samplers.integrators.steps import ByTolerance, Equal
from samplers.probability_flow import FlowState, LogProb, ProbabilityFlow
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
from samplers.variational import REPLICATES, Elbo, elbo

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
    "ByTolerance",
    "Churn",
    "ClassifierGuidance",
    "Constraint",
    "Corrector",
    "DPMSolverPP2M",
    "DPMSolverPP2S",
    "DPMSolverPP3M",
    "Divergence",
    "Elbo",
    "Equal",
    "EulerMaruyama",
    "Exact",
    "ExponentialAdams",
    "FittedGrid",
    "FlowSampler",
    "FlowState",
    "GridSampler",
    "Guidance",
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
    "ProbabilityFlow",
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
    "Transform",
    "UniPC",
    "Update",
    "classifier_guided",
    "correctors",
    "elbo",
    "fit_grid",
    "forms",
    "grids",
    "guided",
    "pairs",
    "probe_kinds",
    "sample",
    "solvers",
    "tableaux",
    "transforms",
]
