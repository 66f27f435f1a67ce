"""The mathematics: SDEs, conversions, losses and closed-form oracles. Arrays in, arrays out."""

from sde_lib.bound import Bound, variational_bound
from sde_lib.condition import Condition
from sde_lib.conditional_mixture import ConditionalMixture
from sde_lib.cosine import Cosine
from sde_lib.edm import EDM, LinearVE
from sde_lib.flow import Flow
from sde_lib.gaussian import Gaussian
from sde_lib.gaussian_mixture import GaussianMixture
from sde_lib.learned import LearnedLogSNR
from sde_lib.loss import denoising_loss, weightings
from sde_lib.model import ClosedForm, Model, from_score
from sde_lib.model_under_sde import ModelUnderSDE
from sde_lib.prediction import Prediction
from sde_lib.pytree import Pytree, number, static
from sde_lib.ranges import Range, check_ranges, declared, ranged
from sde_lib.registry import Registry
from sde_lib.sde import SDE, Transition, expand, register, sdes
from sde_lib.subvp import SubVP
from sde_lib.time_sampling import time_samplers
from sde_lib.ve import VE
from sde_lib.vp import VP

__all__ = [
    "EDM",
    "SDE",
    "VE",
    "VP",
    "Bound",
    "ClosedForm",
    "Condition",
    "ConditionalMixture",
    "Cosine",
    "Flow",
    "Gaussian",
    "GaussianMixture",
    "LearnedLogSNR",
    "LinearVE",
    "Model",
    "ModelUnderSDE",
    "Prediction",
    "Pytree",
    "Range",
    "Registry",
    "SubVP",
    "Transition",
    "check_ranges",
    "declared",
    "denoising_loss",
    "expand",
    "from_score",
    "number",
    "ranged",
    "register",
    "sdes",
    "static",
    "time_samplers",
    "variational_bound",
    "weightings",
]
