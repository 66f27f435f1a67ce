"""Seconds, side by side, and what they are measured against."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from experiments.runtime.devices import make_mesh, put, replicated, sharded

OF_PEAK = (
    "operations / seconds / peak; operations: of the matrix products and direct convolutions by "
    "their shapes (benchmarks.operations); peak: of a large matrix product in the same type on the "
    "same card (benchmarks.timing)"
)
"""How the part of a machine's rate is computed, for those who read a result alone."""


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(calls: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each call returned in each round; which goes first alternates."""
    results: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in list(calls)[:: -1 if number % 2 else 1]:
            results[name].append(calls[name]())
    return results


def ratio(results: Mapping[str, list[float]], above: str, below: str) -> dict[str, float]:
    """Median, least and largest of the ratios round by round."""
    ratios = [a / b for a, b in zip(results[above], results[below], strict=True)]
    return {
        "median": round(statistics.median(ratios), 4),
        "min": round(min(ratios), 4),
        "max": round(max(ratios), 4),
    }


def peak(dtype: str) -> float:
    """Operations a second of a large matrix product, on all devices at once; the best of five."""
    size, mesh = 2048 if jax.default_backend() == "cpu" else 8192, make_mesh()
    left, right = jnp.ones((mesh.size, size, size), dtype), jnp.ones((size, size), dtype)
    left, right = put(left, sharded(mesh)), put(right, replicated(mesh))
    product = jax.jit(jnp.matmul)
    product(left, right).block_until_ready()
    best = min(seconds(lambda: product(left, right).block_until_ready()) for _ in range(5))
    return 2 * size**3 * mesh.size / best
