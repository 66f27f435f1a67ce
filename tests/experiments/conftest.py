"""A tiny experiment that trains in seconds, and the command line run in this process."""

import pathlib

import pytest

from experiments.cli import main

# Batches divide by the 8 virtual devices of the tests; most use one, which compiles faster.
TOY = [
    "--devices=1",
    "--config=toy2d",
    "--config.model.hidden=(16,16)",
    "--config.training.num_steps=6",
    "--config.training.batch_size=16",
    "--config.training.warmup=2",
    "--config.training.log_every=2",
    "--config.training.save_every=2",
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
    "--config.training.save_every=2",
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


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The workdir of a tiny trained toy. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "toy"
    assert train(workdir) == 0
    return workdir
