"""Many processes, on one host or many: how they find each other, and that they agree.

Every process runs the same command; `jax.devices()` are then those of all.
"""

import json
import math
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

from experiments.errors import UserError

T = TypeVar("T")


class AgreedError(UserError):
    """An error that every process raises alike."""


def connect(coordinator: str | None, num: int | None, index: int | None, wait: float) -> None:
    """Join the other processes. Without arguments, as Slurm, MPI, Kubernetes or a TPU pod says.

    Args:
      coordinator: HOST:PORT of process 0.
      num: how many processes there are.
      index: which of them this is.
      wait: seconds for the coordinator to answer.

    Raises:
      UserError: some of the three are missing, there is no such cluster, or nobody answers.
    """
    given = {"--coordinator": coordinator, "--num_processes": num, "--process_id": index}
    missing = [flag for flag, value in given.items() if value is None]
    if missing and len(missing) < 3:
        raise UserError(f"{missing[0]}: not given, takes all of {', '.join(given)}")
    if coordinator is not None and num is not None and index is not None:
        if not 0 <= index < num:
            raise UserError(f"--process_id: got {index}, takes 0 to {num - 1}")
        if index:
            _wait_for(coordinator, wait)
    try:
        jax.distributed.initialize(coordinator, num, index, initialization_timeout=math.ceil(wait))
    except (RuntimeError, ValueError) as error:
        where = coordinator or "none found by --distributed"
        line = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"--coordinator: {where}: {line}; takes HOST:PORT of process 0, and all processes "
            f"started within {wait:.0f} s"
        ) from error


def _wait_for(coordinator: str, wait: float) -> None:
    """Until somebody listens. JAX itself would end the process, with a traceback.

    Raises:
      UserError: not an address, or nobody does.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--coordinator: got {coordinator!r}, takes HOST:PORT")
    until = time.monotonic() + wait
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > until:
                raise UserError(
                    f"--coordinator: {coordinator} did not answer in {wait:.0f} s ({error}); takes "
                    "HOST:PORT of process 0"
                ) from error
        time.sleep(0.2)


def exit_process(error: Exception) -> NoReturn:
    """End this process of many with one line; the others notice that it has fallen silent.

    The usual end waits for the others, which wait for this one's part of their computations.
    """
    print(f"scoresde: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(2)


def is_first() -> bool:
    """Whether this process writes what only one may write."""
    return jax.process_index() == 0


def all_gather(value: Any) -> list[Any]:
    """A JSON value of every process, in their order, on every one."""
    if jax.process_count() == 1:
        return [value]
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.array([len(text)], np.int32)).ravel()
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: len(text)] = text
    rows = multihost_utils.process_allgather(padded).reshape(len(sizes), -1)
    return [json.loads(bytes(row[:size]).decode()) for row, size in zip(rows, sizes, strict=True)]


def run_on_all(work: Callable[[], T]) -> T:
    """Run `work` on every process; stop all if one cannot go on, for they would wait for it.

    Returns:
      What `work` returns on this process.

    Raises:
      UserError: what went wrong at the first process where something did.
    """
    if jax.process_count() == 1:
        return work()
    result = error = None
    try:
        result = work()
    except (UserError, OSError) as raised:
        error = raised
    for index, line in enumerate(all_gather(None if error is None else str(error))):
        if line is not None:
            raise AgreedError(f"process {index}: {line}") from error
    return cast(T, result)


def check_same(facts: dict[str, Any]) -> None:
    """Stop processes that do not agree on what they were started with.

    Args:
      facts: by name, JSON values.

    Raises:
      UserError: the first that is not the same everywhere.
    """
    first, *others = all_gather(facts)
    for index, theirs in enumerate(others, start=1):
        for name in first.keys() | theirs.keys():
            if first.get(name) != theirs.get(name):
                raise AgreedError(
                    f"{name}: process 0 has {first.get(name)!r}, process {index} has "
                    f"{theirs.get(name)!r}; takes one value on all"
                )
