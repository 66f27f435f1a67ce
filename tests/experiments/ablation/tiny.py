"""An ablation of a tiny toy, run in this process."""

import pathlib

from experiments.cli import main
from tests.experiments.conftest import TOY

OVER = ["--over=training.learning_rate=0.002,0.004", "--over=sampling.num_steps=3,12"]

ASKED = [
    *(flag for flag in TOY if "sampling.num_steps" not in flag),
    "--config.model.hidden=(16,12)",  # whose programs nobody else has compiled
    *OVER,
    "--one_at_a_time",
    "--metrics=bpd,error,nfe,loss",
    "--limit=16",
]
"""Three cells of two models."""


def ablate(workdir: pathlib.Path, *arguments: str) -> int:
    return main(["ablate", f"--workdir={workdir}", *arguments])
