"""Flax networks, and what turns one into `predict` or a classifier. Knows no sampler."""

from models.classifier import Classifier
from models.conditioning import conditionings
from models.initialization import abstract_params, init_params
from models.layers.basic import STACKED
from models.networks.adm import ADM
from models.networks.dit import DiT
from models.networks.edm2 import EDM2
from models.networks.encoder import Encoder
from models.networks.mlp import MLP
from models.networks.ncsnpp import NCSNpp
from models.parameterization import Parameterization, parameterizations, rounding
from models.registry import networks, outputs
from models.score_model import ScoreModel

__all__ = [
    "ADM",
    "EDM2",
    "MLP",
    "STACKED",
    "Classifier",
    "DiT",
    "Encoder",
    "NCSNpp",
    "Parameterization",
    "ScoreModel",
    "abstract_params",
    "conditionings",
    "init_params",
    "networks",
    "outputs",
    "parameterizations",
    "rounding",
]
