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

BATCH = 64
"""Examples that are computed together; more where there are more devices."""


def called(network: nn.Module, params: Any, x: Any) -> Any:
    """What a network returns for x with these parameters."""
    return network.apply({"params": params}, x)


@dataclasses.dataclass(frozen=True)
class BatchedNetwork:
    """From examples as a network takes them to its features and probabilities, in equal batches.

    Args:
      apply: from parameters and examples [B, ...] to features [B, D], and probabilities or None;
        compiled once for a shape of the examples.
      params: the parameters.
    """

    apply: Callable[[Any, Any], tuple[Any, Any]]
    params: Any

    def __call__(self, inputs: np.ndarray) -> Extracted:
        """The features of B examples, whatever B is."""
        parts = [self._batch(inputs[i : i + self._size]) for i in range(0, len(inputs), self._size)]
        features, probabilities = zip(*parts, strict=True)
        classes = None if probabilities[0] is None else np.concatenate(probabilities)
        return Extracted(np.concatenate(features), classes)

    def _batch(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        missing = self._size - len(inputs)
        padded = np.concatenate([inputs, np.repeat(inputs[:1], missing, axis=0)])
        out = fetch(self._program(self._placed, put(padded, sharded(self._mesh))))
        return jax.tree.map(lambda array: array[: len(inputs)], out)

    @functools.cached_property
    def _mesh(self) -> Any:
        return make_mesh()

    @property
    def _size(self) -> int:
        return -(-BATCH // self._mesh.size) * self._mesh.size

    @functools.cached_property
    def _program(self) -> Callable:
        return jax.jit(self.apply)

    @functools.cached_property
    def _placed(self) -> Any:
        return put(self.params, replicated(self._mesh))
