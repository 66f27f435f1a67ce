"""Checkpoint files of PyTorch, read as what they should be: tensors and numbers, no code.

PyTorch itself is imported when the first file is read.
"""

import collections
import pathlib
import re
from typing import Any

import numpy as np

from experiments.errors import UserError

# A learning rate may be a NumPy number; files from NumPy 1 call its module by the older name.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_NUMBERS = [
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]


def load(path: pathlib.Path) -> Any:
    """The content of a file, tensors as NumPy arrays, floating ones in float32.

    Raises:
      UserError: there is no PyTorch here, no such file, or it is damaged or holds something else
        than tensors, numbers and containers of them; nothing of it is run.
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(
            "--from=score_sde_pytorch: takes PyTorch to read it; pip install 'scoresde[torch]'"
        ) from error
    try:
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    # Whatever a damaged file makes of the unpickler; a long text, with advice not to be taken.
    except Exception as error:
        banned = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it calls {banned[1]}" if banned else type(error).__name__
        raise UserError(
            f"{path}: is damaged, or no checkpoint of tensors and numbers alone ({why})"
        ) from error
    return _as_arrays(content, torch.Tensor)


def _as_arrays(content: Any, tensor: Any) -> Any:
    if isinstance(content, tensor):
        values = content.detach()
        return values.float().numpy() if values.is_floating_point() else values.numpy()
    if isinstance(content, collections.abc.Mapping):
        return {key: _as_arrays(value, tensor) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_as_arrays(value, tensor) for value in content]
    return content
