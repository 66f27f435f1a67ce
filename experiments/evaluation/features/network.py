"""A network of features on all devices: batches of one size, padded and cut."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from experiments.evaluation.features.extractor import Extracted
from experiments.runtime.devices import fetch, make_mesh, put, replicated, sharded

_BATCH = 32
"""Examples that are computed together; as many more as the devices can share equally."""


def called(network: nn.Module, params: Any, x: Any) -> Any:
    """What a network returns for x with these parameters."""
    return network.apply({"params": params}, x)


@dataclasses.dataclass(frozen=True)
class BatchedNetwork:
    """From examples to a network's features and probabilities, in equal batches.

    It computes in float32 on every device: what others round to ten bits moves a distance.

    Args:
      apply: from parameters and what `prepare` returns to features [B, D], and probabilities or
        None; compiled once for a shape.
      params: the parameters.
      prepare: from some of the examples to what the devices get, on the host.
    """

    apply: Callable[[Any, Any], tuple[Any, Any]]
    params: Any
    prepare: Callable[[np.ndarray], np.ndarray]

    def __call__(self, values: np.ndarray) -> Extracted:
        """The features of B examples, whatever B is."""
        size = -(-_BATCH // self._mesh.size) * self._mesh.size
        parts = [self._batch(values[i : i + size], size) for i in range(0, len(values), size)]
        features, probabilities = zip(*parts, strict=True)
        classes = None if probabilities[0] is None else np.concatenate(probabilities)
        return Extracted(np.concatenate(features), classes)

    def _batch(self, values: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray | None]:
        inputs = self.prepare(values)
        padded = np.concatenate([inputs, np.repeat(inputs[:1], size - len(inputs), axis=0)])
        with jax.default_matmul_precision("float32"):
            out = self._program(self._placed, put(padded, sharded(self._mesh)))
        return jax.tree.map(lambda array: array[: len(values)], fetch(out))

    @functools.cached_property
    def _mesh(self) -> Any:
        return make_mesh()

    @functools.cached_property
    def _program(self) -> Callable:
        return jax.jit(self.apply)

    @functools.cached_property
    def _placed(self) -> Any:
        return put(self.params, replicated(self._mesh))
