"""Flax score networks, and what turns one into `predict`. Knows no sampler."""

from models.adm import ADM
from models.conditioning import conditionings
from models.dit import DiT
from models.edm2 import EDM2
from models.initialization import abstract_params, init_params
from models.layers import STACKED
from models.mlp import MLP
from models.ncsnpp import NCSNpp
from models.parameterization import parameterizations, rounding
from models.registry import networks
from models.score_model import ScoreModel

__all__ = [
    "ADM",
    "EDM2",
    "MLP",
    "STACKED",
    "DiT",
    "NCSNpp",
    "ScoreModel",
    "abstract_params",
    "conditionings",
    "init_params",
    "networks",
    "parameterizations",
    "rounding",
]
