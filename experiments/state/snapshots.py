"""Power-law averages on disk, from which others are reconstructed after training.

FOLDER/STEP.npz holds those of one step: float32 arrays called AVERAGE/PATH, as in
`power:0.05/params/Conv_0/kernel`.
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np

from experiments.errors import UserError
from experiments.runtime.array_files import UNREADABLE
from experiments.runtime.atomic_files import file_at_once
from experiments.state import averages as averaging
from experiments.state.averages import PowerLaw

T = TypeVar("T")

MAX_PROFILE_ERROR = 0.1
"""A reconstruction whose profile is further off, in L2, is refused."""


@dataclass(frozen=True)
class Snapshot:
    """One average at one step, read when it is asked for.

    Args:
      step: updates done.
      sigma_rel: its relative width.
      name: of the average.
      path: its file.
    """

    step: int
    sigma_rel: float
    name: str
    path: pathlib.Path

    def load(self, like: Any) -> Any:
        """The parameters as NumPy arrays, in the tree of `like`.

        Raises:
          UserError: a damaged file, or one of another network.
        """
        leaves, structure = jax.tree_util.tree_flatten_with_path(like)
        names = [_entry(self.name, path) for path, _ in leaves]

        def take(file: Any) -> list[np.ndarray]:
            held = {entry for entry in file.files if entry.startswith(f"{self.name}/")}
            return [file[entry] for entry in names] if held == set(names) else []

        arrays = _read(self.path, take)
        if [a.shape for a in arrays] != [leaf.shape for _, leaf in leaves]:
            raise UserError(f"{self.path}: holds another network's parameters, takes this one's")
        return jax.tree.unflatten(structure, arrays)


def save_snapshot(folder: pathlib.Path, step: int, averages: dict[str, Any]) -> None:
    """Write the power-law averages of a step, whole or not at all; none, no file.

    Args:
      folder: made if missing.
      step: updates done.
      averages: parameters by name, from `averages.update`; those of other kinds are left out.

    Raises:
      OSError: it cannot be written.
    """
    specs = averaging.parse(averages)
    arrays: dict[str, Any] = {
        _entry(spec.name, path): np.asarray(leaf, np.float32)
        for spec in specs
        if isinstance(spec, PowerLaw)
        for path, leaf in jax.tree_util.tree_leaves_with_path(averages[spec.name])
    }
    if not arrays:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with file_at_once(folder / f"{step:08d}.npz") as file:
        np.savez(file, **arrays)


def load_snapshots(folder: pathlib.Path) -> list[Snapshot]:
    """The snapshots that there are, by step and width; only their names are read.

    Raises:
      UserError: nothing, or a damaged file.
    """
    paths = [path for path in folder.glob("*.npz") if path.stem.isdigit()]
    found = [
        Snapshot(int(path.stem), spec.sigma_rel, spec.name, path)
        for path in paths
        for spec in _averages_in(path)
    ]
    if not found:
        raise UserError(
            f"{folder}: holds no snapshots, takes those of a run with a training.averages 'power:…'"
        )
    return sorted(found, key=lambda snapshot: (snapshot.step, snapshot.sigma_rel))


def reconstruct(folder: pathlib.Path, sigma_rel: float, step: int, like: Any) -> Any:
    """The power-law average of any width at a stored step, from all snapshots up to it.

    Args:
      folder: of the snapshots.
      sigma_rel: the relative width wanted.
      step: one that was stored.
      like: a tree of the parameters' shapes.

    Returns:
      The parameters, float32.

    Raises:
      UserError: no snapshots, none of that step, a width that does not exist or is too far from the
        stored ones (`MAX_PROFILE_ERROR`), a damaged file, or one of another network.
    """
    averaging.check_sigma_rel(sigma_rel, "sigma_rel")
    snapshots = load_snapshots(folder)
    steps = sorted({snapshot.step for snapshot in snapshots})
    if step not in steps:
        known = ", ".join(map(str, steps))
        raise UserError(f"step: got {step}, takes one of those stored: {known}")
    snapshots = [snapshot for snapshot in snapshots if snapshot.step <= step]
    stored = [(snapshot.sigma_rel, snapshot.step) for snapshot in snapshots]
    weights = averaging.reconstruction_weights(stored, (sigma_rel, step))
    error = averaging.profile_error(stored, (sigma_rel, step), weights)
    if error > MAX_PROFILE_ERROR:
        raise UserError(
            f"sigma_rel: got {sigma_rel}, whose profile {len(stored)} snapshots up to step {step} "
            f"give with an error of {error:.0%}; takes more of them, or a width nearer theirs"
        )
    combined = averaging.combine(weights, (snapshot.load(like) for snapshot in snapshots))
    return jax.device_put(combined)


def _averages_in(path: pathlib.Path) -> list[PowerLaw]:
    names = {entry.partition("/")[0] for entry in _read(path, lambda file: file.files)}
    try:
        return [spec for spec in averaging.parse(names) if isinstance(spec, PowerLaw)]
    except UserError as error:
        raise UserError(f"{path}: holds {', '.join(names)}, takes power-law averages") from error


def _entry(name: str, path: tuple) -> str:
    return f"{name}/{jax.tree_util.keystr(path, simple=True, separator='/')}"


def _read(path: pathlib.Path, get: Callable[[Any], T]) -> T:
    """What `get` takes from an .npz file.

    Raises:
      UserError: the file is damaged.
    """
    try:
        with np.load(path) as file:
            return get(file)
    except UNREADABLE as error:
        raise UserError(f"{path}: is damaged ({' '.join(str(error).split())[:200]})") from error
