"""The rows of a class embedding: one a class, and after them the null where a file has one.

diffusers adds a row to the time embedding where `models.layers.embedding` does, before the silu of
the blocks. No config there says whether the last row stands for no class.
"""

import pathlib
from typing import Any

import numpy as np

from experiments.errors import UserError


def classes_of(rows: int, asked: int, path: pathlib.Path) -> int:
    """The number of rows that are of classes: as many as were asked for, else all.

    Args:
      rows: of the embedding.
      asked: classes that the user says there are; 0 for nothing said.
      path: the config's file, for messages.

    Raises:
      UserError: rows that are neither that many nor one more.
    """
    if asked and rows not in (asked, asked + 1):
        raise UserError(
            f"{path}: num_class_embeds: got {rows}, takes {asked}, or {asked + 1} of which the "
            f"last is the null, with --config.model.num_classes={asked}"
        )
    return asked or rows


def split_null(params: Any, classes: int) -> Any:
    """Our parameters, with the row after those of the classes as the null, where there is one."""
    time, rows = params["time"], params["time"]["class"]["embedding"]
    if len(rows) == classes:
        return params
    return params | {"time": time | {"class": {"embedding": rows[:classes]}, "null": rows[classes]}}


def join_null(params: Any) -> Any:
    """Our parameters, with the null as a row after those of the classes; `split_null` undoes it."""
    time = params["time"]
    rows = np.concatenate([time["class"]["embedding"], time["null"][None]])
    return params | {"time": time | {"class": {"embedding": rows}}}
