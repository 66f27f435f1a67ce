"""Writes an ablation's folder: what was asked, the cells, where and when."""

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from experiments.ablation import spec
from experiments.ablation.cell import Cell, cells_of
from experiments.ablation.folder import AblationFolder
from experiments.ablation.locks import waiting
from experiments.ablation.question import Question, differing
from experiments.errors import UserError
from experiments.paths import make_folder
from experiments.runtime.atomic_files import write_atomically
from experiments.runtime.versions import versions


def asked(folder: AblationFolder) -> Question:
    """The question that a folder holds.

    Raises:
      UserError: it holds none, or a damaged one.
    """
    if not folder.is_there:
        raise UserError(f"--workdir: {folder.path} holds no ablation (no {folder.question.name})")
    return spec.read(folder.question)


def check(folder: AblationFolder, question: Question, cells: Sequence[Cell]) -> None:
    """Stop a question that is not the folder's, nor that with more cells or other metrics.

    Args:
      folder: new, empty, or of an ablation; nothing is written.
      question: what is asked now.
      cells: its cells; of a study none.

    Raises:
      UserError: the folder holds another ablation, or something else.
    """
    if not folder.is_there:
        written = ("cells.json", "command.txt", "about.json")
        # What `begin` leaves where it is killed.
        left = {".locks", *written, *(f"{n}.partial" for n in (*written, folder.question.name))}
        if folder.path.exists() and not {p.name for p in folder.path.iterdir()} <= left:
            raise UserError(
                f"--workdir: {folder.path} holds something else than an ablation (no "
                f"{folder.question.name}), takes a new or empty folder or one of this ablation"
            )
        return
    before = asked(folder)
    if question.study is not None and before.study is not None:
        # What it asks for follows from all that it is told: trials alone may be added.
        question = dataclasses.replace(question, study=min(question.study, before.study))
    found = differing(question, before)
    studies = question.study is not None or before.study is not None
    if found if studies else _is_gone(before, cells):
        what = f"{found[0]} {_shown(found[2])}, not {_shown(found[1])}" if found else "other code"
        raise UserError(
            f"--workdir: {folder.path} holds another ablation, with {what}; takes a folder of its "
            "own, or all of that ablation's cells and more"
        )


def _is_gone(before: Question, cells: Sequence[Cell]) -> bool:
    """Whether a question has a cell that is not among others."""
    here = {(cell.name, cell.seed, cell.record.workdir) for cell in cells}
    return any((c.name, c.seed, c.record.workdir) not in here for c in cells_of(before))


def _shown(value: Any) -> str:
    """A field of a question as a flag has it."""
    if isinstance(value, tuple):
        parts = [getattr(part, "text", part) for part in value]
        return " ".join(",".join(p) if isinstance(p, tuple) else str(p) for p in parts) or "none"
    return "none" if value is None else str(value)


def begin(folder: AblationFolder, question: Question, cells: Sequence[Cell], command: str) -> None:
    """Write what is asked, the cells, and where they are run; once `check` has passed.

    Args:
      folder: the ablation's.
      question, cells: as of `check`.
      command: the command line.

    Raises:
      OSError: it cannot be written.
    """
    make_folder(folder.path, "--workdir")
    about = {
        "command": command,
        "versions": versions(),
        "hardware": hardware(),
        "started": folder.about.get("started", _now()),
        "ended": None,
    }
    with waiting(folder.lock("record")):
        _write_cells(folder, cells)
        write_atomically(folder.path / "command.txt", about["command"] + "\n")
        write_atomically(folder.path / "about.json", _json(about))
        # The last: what has no question has no cells to lose.
        write_atomically(folder.question, spec.write(question))


def grow(folder: AblationFolder, cells: Sequence[Cell]) -> None:
    """Write the cells of a study, where there are more than before.

    Args:
      folder: the ablation's.
      cells: all that have been asked for, in order.

    Raises:
      OSError: they cannot be written.
    """
    with waiting(folder.lock("record")):
        if len(cells) > len(folder.cells):
            _write_cells(folder, cells)


def tell(
    folder: AblationFolder, number: int, trial: Mapping[str, Any], about: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Write what a study is told of a trial, unless another process has.

    Args:
      folder: the ablation's.
      number: of the trial, from 0.
      trial: {"setting": …, "value": the number, or None where the trial has failed}.
      about: what study.json says of all trials.

    Returns:
      What the study is told by all processes: `trial`, or what was there before.

    Raises:
      OSError: it cannot be written.
    """
    with waiting(folder.lock("record")):
        trials = folder.study.get("trials", [])
        if number == len(trials):
            trials.append(trial)
            write_atomically(folder.path / "study.json", _json({**about, "trials": trials}))
        return trials[number]


def _write_cells(folder: AblationFolder, cells: Sequence[Cell]) -> None:
    records = [dataclasses.asdict(cell.record) for cell in cells]
    write_atomically(folder.path / "cells.json", _json(records))


def end(folder: AblationFolder) -> None:
    """Write when all cells had been run.

    Raises:
      OSError: it cannot be written.
    """
    with waiting(folder.lock("record")):
        write_atomically(folder.path / "about.json", _json(folder.about | {"ended": _now()}))


def hardware() -> dict[str, Any]:
    """What computes: the devices, the cores, the system."""
    return {
        "device": jax.devices()[0].device_kind,
        "devices": len(jax.devices()),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
