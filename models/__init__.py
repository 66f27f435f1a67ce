"""Flax score networks, and what turns one into `predict`. Knows no sampler."""

from models.conditioning import conditionings
from models.initialization import abstract_params, init_params
from models.layers.basic import STACKED
from models.networks.adm import ADM
from models.networks.dit import DiT
from models.networks.edm2 import EDM2
from models.networks.mlp import MLP
from models.networks.ncsnpp import NCSNpp
from models.parameterization import Parameterization, parameterizations, rounding
from models.registry import networks
from models.score_model import ScoreModel

__all__ = [
    "ADM",
    "EDM2",
    "MLP",
    "STACKED",
    "DiT",
    "NCSNpp",
    "Parameterization",
    "ScoreModel",
    "abstract_params",
    "conditionings",
    "init_params",
    "networks",
    "parameterizations",
    "rounding",
]
