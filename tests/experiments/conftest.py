"""A tiny experiment that trains in seconds, and the command line run in this process."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from experiments.builders import check as builders_check
from experiments.builders.model import build_network, conditioned
from experiments.cli import main
from experiments.config_schema.resolve import resolve
from experiments.config_schema.sections import Experiment, TrainingConfig
from experiments.runtime import devices, sharding
from experiments.state.checkpoints import Checkpoints
from experiments.state.train_state import abstract_state
from experiments.training import train as training
from experiments.training.objective import Objective
from experiments.training.step import make_train_step
from experiments.workdir.folder import Workdir
from experiments.workdir.metrics import CLOCK, read_metrics
from sde_lib import SDE

_MAX_STEPS = 12
# What an update does not depend on; of a section without names all of it.
_NOT_OF_A_STEP: dict[str, tuple[str, ...]] = {
    "sampling": (),
    "likelihood": (),
    "data": ("source", "stream"),
    "training": (
        *("init_from", "save_every", "keep", "keep_every", "sample_every", "max_skipped"),
        *("trackers", "evaluate_every", "evaluate_num", "evaluate_metrics", "evaluate_features"),
    ),
}

# Batches divide by the 8 virtual devices of the tests; most use one, which compiles faster.
TOY = [
    "--devices=1",
    "--config=toy2d",
    "--config.model.hidden=(16,16)",
    "--config.training.num_steps=6",
    "--config.training.batch_size=16",
    "--config.training.warmup=2",
    "--config.training.log_every=2",
    "--config.training.save_every=4",
    "--config.sampling.num_steps=4",
    "--config.sampling.num=20",
    "--config.sampling.batch_size=16",
    "--config.likelihood.batch_size=16",
    "--config.likelihood.num_steps=12",
]

DIGITS = [
    "--devices=1",
    "--config.model.nf=8",
    "--config.model.ch_mult=(1,)",
    "--config.model.num_res_blocks=1",
    "--config.model.attn_resolutions=()",
    "--config.training.num_steps=4",
    "--config.training.batch_size=16",
    "--config.training.log_every=2",
    "--config.training.save_every=4",
    "--config.training.sample_every=4",
    "--config.sampling.num_steps=3",
    "--config.sampling.num=9",
    "--config.sampling.batch_size=128",
    "--config.likelihood.batch_size=128",
    "--config.likelihood.num_steps=8",
]


def train(workdir: pathlib.Path, *arguments: str) -> int:
    """`scoresde train` on the tiny toy, in this process; returns the exit code."""
    return main(["train", *TOY, f"--workdir={workdir}", *arguments])


def refused(arguments: list[str], capsys) -> str:
    """The one line of an error."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


def state_of(workdir: pathlib.Path):
    """The newest training state as NumPy leaves."""
    config = resolve(Workdir(workdir).load())
    spec = Workdir(workdir).data_spec
    assert spec is not None
    config = conditioned(config, spec.split(config))
    network = build_network(config.model)
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        state = checkpoints.restore(abstract_state(config, network, (2,), devices.make_mesh()))
    return jax.tree.leaves(
        jax.tree.map(np.asarray, (state.params, state.averages, state.opt_state, state.sums))
    )


def metrics_of(workdir: pathlib.Path) -> list[dict]:
    """The metrics without the wall clock."""
    lines = read_metrics(workdir / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in CLOCK} for line in lines]


def once(check: Callable[..., None]) -> Callable[..., None]:
    """A check that is not made again of what has passed it; what has not is refused each time."""
    passed = set()

    def checked(experiment: Experiment, process: SDE, *more: float) -> None:
        what = repr((experiment, process, more)), type(process)
        if what not in passed:
            check(experiment, process, *more)
            passed.add(what)

    return checked


@pytest.fixture(autouse=True, scope="session")
def each_experiment_is_checked_once() -> Iterator[None]:
    """Every command traces and compiles what its experiment names; most name the same here."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("check_functions", "check_parameterization", "check_sampling"):
            patched.setattr(builders_check, name, once(getattr(builders_check, name)))
        yield


@pytest.fixture(autouse=True, scope="session")
def each_step_is_compiled_once() -> Iterator[None]:
    """Runs of one experiment make the same updates, whatever becomes of them: by one program."""
    made: dict[str, Callable] = {}

    def step(config: TrainingConfig, objective: Objective, network: nn.Module, mesh: Mesh) -> Any:
        data, facts = objective.data, [dataclasses.asdict(objective.experiment)]
        for section, fields in _NOT_OF_A_STEP.items():
            for field in fields or [*facts[0][section]]:
                facts[0][section].pop(field)
        facts += [data.shape, data.codec, data.num, data.num_classes, data.cond_mean, data.cond_std]
        kinds = [type(objective), type(objective.sde), network, mesh, sharding.MIN_SIZE]
        key = repr((*facts, *kinds))
        found = made.pop(key, None) or make_train_step(config, objective, network, mesh)
        made[key] = found  # the last that was used is the last to go
        if len(made) > _MAX_STEPS:
            made.pop(next(iter(made)))
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "make_train_step", step)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The workdir of a tiny trained toy. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "toy"
    assert train(workdir) == 0
    return workdir


@pytest.fixture(scope="session")
def trained_digits(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The workdir of a tiny trained model of the digits. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "digits"
    unseen = "--config.training.sample_every=0"
    assert main(["train", "--config=digits", *DIGITS, unseen, f"--workdir={workdir}"]) == 0
    return workdir
