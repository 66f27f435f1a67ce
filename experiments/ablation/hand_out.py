"""Cells handed to others: a command for each, and a Slurm array of them."""

import os
import shlex
import sys
from collections.abc import Sequence

from experiments.ablation.cell import Cell
from experiments.ablation.folder import AblationFolder
from experiments.errors import UserError

LOGS = "slurm"
"""The folder of what the tasks of an array say, in the ablation's."""


def commands(folder: AblationFolder, cells: Sequence[Cell], *, retry: bool) -> list[str]:
    """A shell command for each cell, which runs it from wherever it is called.

    Cells of one model wait for that which trains it. They run in the folder that one stands in
    now, of which relative paths are.
    """
    place = f"cd {shlex.quote(os.getcwd())}"
    return [
        f"{place} && {shlex.join([*_words(folder, retry), f'--cell={c.record.digest}'])}"
        for c in cells
    ]


def _words(folder: AblationFolder, retry: bool) -> list[str]:
    program = [sys.executable, "-m", "experiments", "ablate"]
    return [*program, f"--workdir={folder.path.absolute()}", *["--retry"] * retry]


def slurm(
    folder: AblationFolder, cells: Sequence[Cell], options: Sequence[str], *, retry: bool
) -> str:
    """The script of a Slurm array with a task for each cell, for `sbatch`.

    Args:
      folder: the ablation's.
      cells: those that are to be run.
      options: of sbatch, "KEY=VALUE" or "KEY", besides those of the array.

    Raises:
      UserError: an option that is none, or one that the array has.
    """
    logs = folder.path.absolute() / LOGS
    given = {
        "job-name": folder.path.absolute().name,
        "array": f"0-{len(cells) - 1}",
        "output": str(logs / "%A_%a.txt"),
        "chdir": os.getcwd(),
    }
    for option in options:
        key, equals, value = option.removeprefix("--").partition("=")
        if not key or key.split() != [key] or "\n" in value:
            raise UserError(f"--sbatch: got {option!r}, takes KEY=VALUE of sbatch")
        if key in ("array", "chdir"):
            raise UserError(f"--sbatch: got {key}, which the array of cells says")
        given[key] = value if equals else ""
    lines = [f"#SBATCH --{key}" + f"={value}" * bool(value) for key, value in given.items()]
    digests = " ".join(cell.record.digest for cell in cells)
    program = shlex.join(_words(folder, retry))
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            f"cells=({digests})",
            f'exec {program} --cell="${{cells[$SLURM_ARRAY_TASK_ID]}}"',
            "",
        ]
    )
