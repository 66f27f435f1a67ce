"""The trained toy to evaluate, what is drawn of it, and the quickest metric."""

import dataclasses

import numpy as np
import pytest

from experiments.evaluation import report
from experiments.runtime import devices
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel

FD = "fd:sizes=0,bootstrap=0"
"""The quickest metric."""


@pytest.fixture(scope="session")
def opened(trained):
    return TrainedModel.open(trained, [], devices.make_mesh(1), divergence=True)


@pytest.fixture
def toy(opened, tmp_path):
    """The trained toy, with an empty folder for what is made of it."""
    return dataclasses.replace(opened, workdir=Workdir(tmp_path / "toy"))


@pytest.fixture
def drawn(monkeypatch):
    """The first samples of the batches that are drawn."""
    firsts, batch = [], BatchedSampler.batch

    def counted(self, first, *arguments, **how):
        firsts.append(first)
        return batch(self, first, *arguments, **how)

    monkeypatch.setattr(BatchedSampler, "batch", counted)
    return firsts


@pytest.fixture
def no_pictures(monkeypatch):
    """They take longer than the rest."""
    monkeypatch.setattr(report, "picture", lambda *_: np.zeros((1, 1, 3), np.uint8))
