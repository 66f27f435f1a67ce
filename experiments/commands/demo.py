"""The command `demo`."""

import argparse
from typing import Any

from experiments.commands.arguments import add_devices, add_workdir, new_command


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "demo", _run, "train on digits, sample, measure: some minutes")
    add_workdir(parser, "runs/demo")
    add_devices(parser)


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.demo import demo

    demo(options.workdir, options.devices, overrides)
