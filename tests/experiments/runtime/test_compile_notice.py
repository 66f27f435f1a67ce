"""What a command says while it compiles."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import samplers
from experiments.builders.model import build_network
from experiments.config_schema.resolve import default_config, resolve
from experiments.data import Split
from experiments.runtime import compile_notice, devices
from experiments.runtime.compile_notice import EVENT, NAMES
from experiments.state import train_state
from experiments.training.setup import make_objective
from experiments.training.step import make_train_step


def heard(capsys, word):
    """What standard error has had, once the word is in it."""
    text, until = "", time.monotonic() + 30
    while word not in text and time.monotonic() < until:
        text += capsys.readouterr().err
        time.sleep(0.001)
    return text


@pytest.fixture
def at_the_start(capsys, monkeypatch):
    """What is said of each program before its compiler begins, which waits until it is said."""
    devices.start()
    monkeypatch.setattr(compile_notice, "PATIENCE", 0.0)
    texts = []

    def wait(event, _, **__):
        if event == EVENT:
            texts.append(heard(capsys, "…\n"))

    jax.monitoring.register_scalar_listener(wait)
    yield texts
    jax.monitoring.unregister_scalar_listener(wait)


def test_a_program_is_told_before_it_is_compiled_and_after(at_the_start, capsys):
    @jax.jit
    def training_step(x):
        return jnp.sin(x)

    x = jax.device_put(1.0)
    training_step(x).block_until_ready()
    assert at_the_start == ["compiling the training step …\n"]
    assert heard(capsys, "compiled") == "compiled the training step in 0 s\n"
    training_step(x).block_until_ready()
    assert capsys.readouterr().err == ""


def test_the_time_is_the_compilers(at_the_start, capsys):
    jax.monitoring.record_scalar(EVENT, 0.0, fun_name="jit(jacobian)")
    jax.monitoring.record_event_duration_secs(EVENT, 102.0, fun_name="jit(jacobian)")
    assert at_the_start == ["compiling jacobian …\n"]
    assert capsys.readouterr().err == "compiled jacobian in 102 s\n"


def test_what_compiles_quickly_is_not_told(capsys):
    devices.start()
    jax.jit(lambda x: x + 2)(1.0)
    assert capsys.readouterr().err == ""


def test_the_words_are_those_of_programs_that_there_are():
    experiment = resolve(default_config())
    mesh, data = devices.make_mesh(1), Split.of(np.zeros((2, 8, 8, 1), np.float32))
    network = build_network(experiment.model)
    objective = make_objective(experiment, network, data)
    step = make_train_step(experiment.training, objective, network, mesh)
    programs = (
        train_state._start,
        step,
        samplers.GridSampler.draw,
        samplers.AdaptiveSDESampler.draw,
        samplers.ProbabilityFlow.decode,
        samplers.ProbabilityFlow.decode_with_log_prob,
        samplers.ProbabilityFlow.log_prob,
        samplers.elbo,
    )
    assert set(NAMES) == {program.__name__ for program in programs}
