"""Runs that are stopped, and compared with those that are not."""

import os

import numpy as np

from experiments.training.input_pipeline import OnDevice
from tests.experiments.conftest import metrics_of, state_of


def same(ours, theirs):
    """The states and the metrics, to the bit."""
    for a, b in zip(state_of(ours), state_of(theirs), strict=True):
        np.testing.assert_array_equal(a, b)
    assert metrics_of(ours) == metrics_of(theirs)


def stop_before(monkeypatch, call, number, pipeline=OnDevice):
    """A signal to this process before the call-th batch is read."""
    read, calls = pipeline.read, []

    def reading(self, count):
        calls.append(count)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return read(self, count)

    monkeypatch.setattr(pipeline, "read", reading)
