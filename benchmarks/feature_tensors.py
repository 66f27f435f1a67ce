"""Random tensors for networks of features, the same under every Python and NumPy."""

import zlib

import numpy as np

_PERIOD = 10007
"""A prime, so that no axis of a tensor repeats; a network has millions of numbers."""


def random_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor called so in a file of PyTorch, of such a size that activations keep theirs."""
    size = int(np.prod(shape))
    draw = np.random.RandomState(zlib.crc32(name.encode()))
    normal = np.resize(draw.standard_normal(min(size, _PERIOD)).astype(np.float32), shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith(("running_var", "gamma")):
        return np.float32(0.5) + np.abs(normal) / 2
    if len(shape) > 1 and name.endswith("weight"):
        return normal * np.float32((2 * shape[0] / size) ** 0.5)
    is_gain = len(shape) == 1 and name.endswith("weight")
    return np.float32(is_gain) + normal / 5
