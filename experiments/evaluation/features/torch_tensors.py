"""The tensors of a PyTorch file, read without PyTorch and without running what is in the file.

Such a file is a pickle of a dictionary in which a tensor stands for a call: which storage, from
which number on, of what shape and strides. Here the calls are names of a short list that make
nothing but notes of it, and any other name stops the reading. The storages are numbers as they lie
in memory, in one of two layouts:

    zip      (1.6 and later) members */data.pkl and */data/KEY
    legacy   four pickles (a magic number, the version, what machine it was, the tensors), a pickle
             of the keys in their order, then each storage: its length in 64 bits, its numbers
"""

import collections
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from experiments.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _Storage(NamedTuple):
    dtype: Any
    key: str
    size: int


class _Tensor(NamedTuple):
    """A note of a tensor: numbers `offset`, … of a storage, with strides in numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor, once its storage has been read.

        Raises:
          ValueError: it reaches beyond the storage.
        """
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        inside = min((self.offset, *self.shape, *self.strides)) >= 0
        if not inside or (0 not in self.shape and self.offset + last >= len(numbers)):
            raise ValueError("a tensor reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, [n * numbers.itemsize for n in self.strides]
        )
        return np.array(view)


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


_CALLS: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) not in _CALLS:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return _CALLS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size, *view = pid
        if kind != "storage" or any(part is not None for part in view):
            raise pickle.UnpicklingError("it has storages that are views")
        return _Storage(np.dtype(dtype), str(key), int(size))


def read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a file by their names; dictionaries within are joined by dots.

    Raises:
      UserError: the file is damaged, or holds something else than tensors and numbers.
      OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content, numbers = (_zipped if zipfile.is_zipfile(file) else _legacy)(file)
        found = _named(content)
        return {name: note.of(numbers[note.storage.key]) for name, note in found.items()}
    except OSError:
        raise
    # A damaged pickle raises whatever its bytes happen to call for.
    except Exception as error:
        why = str(error) or type(error).__name__
        raise UserError(f"{path}: is damaged, or no file of tensors alone ({why[:100]})") from error


def _zipped(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    with zipfile.ZipFile(file) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        content = _Reader(archive.open(index)).load()
        folder = index.removesuffix("data.pkl")
        numbers = {
            storage.key: np.frombuffer(archive.read(f"{folder}data/{storage.key}"), storage.dtype)
            for storage in _storages(content)
        }
    return content, numbers


def _legacy(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    file.seek(0)
    magic, _, _, content = (_Reader(file).load() for _ in range(4))
    if magic != _MAGIC:
        raise ValueError("it does not begin as one of PyTorch")
    storages, numbers = {s.key: s for s in _storages(content)}, {}
    for key in _Reader(file).load():
        _, dtype, size = file.read(8), storages[key].dtype, storages[key].size
        numbers[key] = np.frombuffer(file.read(size * dtype.itemsize), dtype, size)
    return content, numbers


def _storages(content: Any) -> set[_Storage]:
    return {note.storage for note in _named(content).values()}


def _named(content: Any, prefix: str = "") -> dict[str, _Tensor]:
    """The tensors among nested dictionaries; what else is in them is left out."""
    if isinstance(content, _Tensor):
        return {prefix: content}
    found: dict[str, _Tensor] = {}
    if isinstance(content, dict):
        for key, value in content.items():
            found |= _named(value, f"{prefix}.{key}" if prefix else str(key))
    return found
