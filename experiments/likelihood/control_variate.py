"""The Gaussian with the mean and covariance of a data set, for the divergence's control variate."""

import jax.numpy as jnp
import numpy as np

from experiments.data import Split
from sde_lib import Gaussian

MAX_DIMENSIONS = 4096
"""Above this many the eigenvectors take minutes and gigabytes."""

_MAX_EXAMPLES = 10_000


def data_gaussian(dataset: Split) -> Gaussian:
    """Fitted to the first 10,000 examples in model units, with the variance of dequantization.

    Whatever it is, the control variate leaves the mean of the divergence as it is; a good fit takes
    out more of its variance.
    """
    values = np.asarray(dataset.codec.encode(dataset.values[:_MAX_EXAMPLES]))
    flat = values.reshape(len(values), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    covariance = (flat - mean).T @ (flat - mean) / len(flat)
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    noise = (dataset.codec.bin_width or 0.0) ** 2 / 12
    return Gaussian(
        mean=jnp.asarray(mean, dtype=float),
        eigenvectors=jnp.asarray(eigenvectors, dtype=float),
        eigenvalues=jnp.asarray(np.maximum(eigenvalues, 0) + noise, dtype=float),
    )
