"""Training states on disk, by Orbax: written while training goes on, read back newest first."""

import contextlib
import hashlib
import itertools
import json
import pathlib
import sys
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

from experiments.errors import UserError
from experiments.runtime import processes
from experiments.runtime.atomic_files import write_atomically
from experiments.state.trees import flatten

_NONE = "{}: holds no checkpoint, takes one; run train first"


class Checkpoints:
    """The states of one run, by step.

    Args:
      folder: where they are.
      keep: how many of the newest are kept.
      keep_every: those of its multiples are kept too, if it is not 0.
      writer: whether this is the run, which removes what a killed one left half written; a reader
        leaves alone what a run may be writing now.

    Raises:
      UserError: a reader's folder is not there.
    """

    def __init__(
        self, folder: pathlib.Path, keep: int = 2, keep_every: int = 0, *, writer: bool = False
    ):
        policies = ocp.training.preservation_policies
        kept = [policies.LatestN(keep)]
        if keep_every:
            kept.append(policies.EveryNSteps(keep_every))
        if not writer and not folder.is_dir():
            raise UserError(_NONE.format(folder))
        self._folder, self._writer = folder, writer
        self._record_file = folder.with_suffix(".json")
        self._writing: tuple[int, Any] | None = None
        self._checkpointer = ocp.training.Checkpointer(
            folder.absolute(),
            preservation_policy=policies.AnyPreservationPolicy(kept),
            cleanup_tmp_directories=writer,
        )

    @property
    def steps(self) -> list[int]:
        """The steps of the states, rising."""
        return [state.step for state in self._checkpointer.checkpoints]

    @property
    def latest(self) -> int | None:
        """The newest step, None before the first."""
        return self.steps[-1] if self.steps else None

    def save(self, step: int, state: Any) -> None:
        """Begin to write a state, once the one before is on disk; `wait` for it in the end.

        Raises:
          UserError: neither the one before could be written nor this one, for which it then waits;
            those before them are as they were.
        """
        failed = False
        try:
            self.wait()
        except UserError as error:  # a disk may have room again
            print(error, file=sys.stderr)
            failed = True
        # The next step takes the buffers of a donated state, which on the CPU are what is written.
        if jax.default_backend() == "cpu":
            state = _copied(state)
        with self._reporting(step):
            self._record(step, state)
            response = self._checkpointer.save_async(step, state, force=True, overwrite=True)
        self._writing = (step, response)
        if failed:
            self.wait()

    def wait(self) -> None:
        """Wait until what is being written is on disk.

        Raises:
          UserError: it could not be written.
        """
        if self._writing is not None:
            (step, response), self._writing = self._writing, None
            with self._reporting(step):
                response.result()

    def restore(self, state: Any, parts: Collection[str] | None = None) -> Any:
        """The newest state that can be read, with the shapes and shardings of `state`.

        A part of it (a field, or one of the averages) that was saved with other leaves or shapes
        stays as `state` has it, abstract. The run itself puts newer ones, which cannot be read,
        aside as STEP.broken.

        Args:
          state: abstract.
          parts: which to read, as "params" and "averages/0.999"; the leaves of others that fit are
            None. None for all.

        Raises:
          UserError: there is none.
        """
        if not self.steps:
            raise UserError(_NONE.format(self._folder))
        broken: dict[int, str] = {}
        for step in reversed(self.steps):
            restored, problem = self._load(step, state, parts)
            # One that a process cannot read is one that none takes.
            problems = [line for line in processes.all_gather(problem) if line is not None]
            if not problems:
                self._put_aside(list(broken))
                return restored
            broken[step] = (
                f"{self._folder / str(step)}: the checkpoint cannot be read ({problems[0]})"
            )
            if step != self.steps[0] and processes.is_first():
                print(f"{broken[step]}; going back to the one before", file=sys.stderr)
        raise UserError(broken[self.steps[0]])

    def _load(self, step: int, state: Any, parts: Collection[str] | None) -> tuple[Any, str | None]:
        """A state, or what was wrong with it."""
        ours = flatten(state)
        asked = {p: leaf for p, leaf in ours.items() if parts is None or _part(p) in parts}
        known = self._structures().get(str(step)) == _structure(state)
        known = all(processes.all_gather(known))
        try:
            if known:
                loaded = flatten(self._checkpointer.load(step, _only(state, asked)))
                return _with(state, dict.fromkeys(ours) | {p: loaded[p] for p in asked}), None
            stored = self._checkpointer.metadata(step).metadata
            if stored is None:  # damaged; loading says what is wrong
                return self._checkpointer.load(step, state), None
            fitting = _fitting(state, stored)
            wanted = {p: leaf for p, leaf in fitting.items() if p in asked}
            loaded = flatten(self._checkpointer.load(step, _only(stored, wanted)))
            leaves = ours | dict.fromkeys(fitting) | {p: loaded[p] for p in wanted}
            return _with(state, leaves), None
        except Exception as error:  # whatever a damaged file makes of Orbax and TensorStore
            return None, _one_line(error)

    def _structures(self) -> dict[str, str]:
        """The structures of the states by step, as far as they were written down."""
        try:
            return dict(json.loads(self._record_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}

    def _record(self, step: int, state: Any) -> None:
        """Write down the structure of a state.

        To look at all that was saved takes longer than to read it: three times as long as one of
        the averages.
        """
        if processes.is_first():
            left = [*map(str, self.steps)]
            known = {name: text for name, text in self._structures().items() if name in left}
            write_atomically(self._record_file, json.dumps(known | {str(step): _structure(state)}))

    def _put_aside(self, steps: list[int]) -> None:
        if not (self._writer and steps):
            return
        if processes.is_first():
            for step in steps:
                (self._folder / str(step)).rename(_free_name(self._folder / f"{step}.broken"))
        processes.all_gather(None)  # none reads the folder before
        self._checkpointer.reload()

    def close(self) -> None:
        """Finish what is being written, and release the folder."""
        self.wait()
        self._checkpointer.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        # After a failed save closing fails again, and would hide the error that says why.
        with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self.close()

    @contextlib.contextmanager
    def _reporting(self, step: int) -> Any:
        try:
            yield
        except Exception as error:
            newest = [s for s in self.steps if s < step]
            left = f"the one of step {newest[-1]} is whole" if newest else "there is none before it"
            raise UserError(
                f"{self._folder}: the checkpoint of step {step} could not be written "
                f"({_one_line(error)}); takes a writable disk with room; {left}"
            ) from error


def _structure(state: Any) -> str:
    """A digest of the paths, shapes and types of a state's leaves."""
    facts = {path: [_shape(leaf), str(leaf.dtype)] for path, leaf in flatten(state).items()}
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _copied(state: Any) -> Any:
    """A state in buffers of its own; a process that is alone compiles nothing for it."""
    if jax.process_count() > 1:
        return jax.tree.map(jnp.copy, state)
    places = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.device_put(state, places, may_alias=False)


def _fitting(state: Any, stored: Any) -> dict[str, Any]:
    """The leaves of a state by path, of those parts that were saved with the same shapes."""
    ours, theirs = flatten(state), flatten(stored)
    shapes = [
        _by_part({path: _shape(leaf) for path, leaf in tree.items()}) for tree in (ours, theirs)
    ]
    parts = {part for part, leaves in shapes[0].items() if shapes[1].get(part) == leaves}
    return {path: leaf for path, leaf in ours.items() if _part(path) in parts}


def _by_part(leaves: dict[str, Any]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {}
    for path, leaf in leaves.items():
        parts.setdefault(_part(path), {})[path] = leaf
    return parts


def _part(path: str) -> str:
    """The field that a leaf belongs to, and of the averages which."""
    field, *below = path.split("/")
    return "/".join([field, *below[:1]]) if field == "averages" else field


def _shape(leaf: Any) -> tuple[int, ...]:
    """As it is saved: a key is saved as the numbers in it."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.eval_shape(jax.random.key_data, leaf).shape if is_key else tuple(leaf.shape)


def _only(tree: Any, wanted: Mapping[str, Any]) -> Any:
    """A tree with the leaves that are wanted, by path, and Orbax's mark of one to skip."""
    return _with(tree, {path: wanted.get(path, ...) for path in flatten(tree)})


def _with(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """A tree with other leaves, by path."""
    return jax.tree.unflatten(jax.tree.structure(tree), [leaves[path] for path in flatten(tree)])


def _free_name(path: pathlib.Path) -> pathlib.Path:
    """The path, or with the least number that makes it new."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(p for p in itertools.chain([path], numbered) if not p.exists())


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
