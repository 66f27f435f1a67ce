"""Files of PyTorch, read without PyTorch and without running what is in them.

Such a file is a pickle in which a tensor stands for a call: which storage, from which number on, of
what shape and strides. Here the calls are names of a short list that make nothing but notes of
tensors and NumPy numbers, and any other name stops the reading. The storages are numbers as they
lie in memory, in one of two layouts:

    zip      (1.6 and later) members */data.pkl and */data/KEY
    legacy   four pickles (a magic number, the version, what machine it was, the content), a pickle
             of the keys in their order, then each storage: its length in 64 bits, its numbers
"""

import collections
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

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


class _NumberType:
    """A note of the dtype of a NumPy number: "f8", and the order of its bytes."""

    def __init__(self, name: str):
        self._name, self._order = name, "="

    def __setstate__(self, state: tuple) -> None:
        self._order = state[1]

    def number(self, data: bytes) -> Any:
        """The number that its bytes are.

        Raises:
          ValueError: it is none.
        """
        dtype = np.dtype(self._order.replace("|", "=") + self._name)
        if dtype.kind not in "biuf":
            raise ValueError(f"it holds a NumPy {dtype}")
        return np.frombuffer(data, dtype, 1)[0]


def _tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


def _number_type(name: str, *_: Any) -> _NumberType:
    return _NumberType(name)


def _number(dtype: _NumberType, data: bytes) -> Any:
    return dtype.number(data)


def _bytes(text: str, _: str) -> bytes:
    """As pickles of Python 2's protocol have them."""
    return text.encode("latin1")


# Functions, and types that are built in: a pickle may set attributes of what it names.
_CALLS: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    # A learning rate may be a NumPy number; NumPy 1 called its module by the second name.
    ("numpy._core.multiarray", "scalar"): _number,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy", "dtype"): _number_type,
    ("_codecs", "encode"): _bytes,
}


class _Reader(pickle.Unpickler):
    """Reads a pickle, and notes its storages by their keys."""

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

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
        storage = _Storage(np.dtype(dtype), str(key), int(size))
        return self.storages.setdefault(storage.key, storage)


def load(path: pathlib.Path) -> Any:
    """The content of a file, its tensors as NumPy arrays.

    Raises:
      UserError: no such file, or it is damaged or holds something else than tensors, numbers, texts
        and containers of them.
      OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return (_zipped if zipfile.is_zipfile(file) else _legacy)(file)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError:
        raise
    # A damaged pickle raises whatever its bytes happen to call for.
    except Exception as error:
        why = str(error) or type(error).__name__
        raise UserError(
            f"{path}: is damaged, or no file of tensors and numbers alone ({why[:100]})"
        ) from error


def named(content: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The tensors among nested dictionaries by their names, joined by dots; the rest is left out.

    Args:
      content: of `load`.
      prefix: what it is called itself.
    """
    if isinstance(content, np.ndarray):
        return {prefix: content}
    found: dict[str, np.ndarray] = {}
    if isinstance(content, Mapping):
        for key, value in content.items():
            found |= named(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def _zipped(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        reader = _Reader(archive.open(index))
        content, folder = reader.load(), index.removesuffix("data.pkl")
        numbers = {
            key: np.frombuffer(archive.read(f"{folder}data/{key}"), storage.dtype)
            for key, storage in reader.storages.items()
        }
    return _with_arrays(content, numbers)


def _legacy(file: IO[bytes]) -> Any:
    file.seek(0)
    if _Reader(file).load() != _MAGIC:
        raise ValueError("it does not begin as one of PyTorch")
    _version, _machine = _Reader(file).load(), _Reader(file).load()
    reader, numbers = _Reader(file), {}
    content = reader.load()
    for key in _Reader(file).load():
        storage, _length = reader.storages[key], file.read(8)
        data = file.read(storage.size * storage.dtype.itemsize)
        numbers[key] = np.frombuffer(data, storage.dtype, storage.size)
    return _with_arrays(content, numbers)


def _with_arrays(content: Any, numbers: dict[str, np.ndarray]) -> Any:
    """A content with tensors in the place of the notes of them."""
    if isinstance(content, _Tensor):
        return content.of(numbers[content.storage.key])
    if isinstance(content, Mapping):
        return {key: _with_arrays(value, numbers) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_arrays(value, numbers) for value in content]
    return content
