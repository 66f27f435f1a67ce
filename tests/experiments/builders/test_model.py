"""From names of the config to what the network's output means."""

from experiments.builders.model import build_parameterization
from models import parameterizations


def test_the_parameterization_knows_the_scale_of_the_data():
    assert build_parameterization("edm", 0.7) == parameterizations["edm"](data_std=0.7)
    assert build_parameterization("v", 0.7) == parameterizations["v"]()
