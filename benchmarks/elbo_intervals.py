"""How often the variational bound's 95 % intervals cover, on data in closed form.

    python -m benchmarks.elbo_intervals

With the exact score the bound's expectation is the log-density, so that an interval can be judged:
of each of 4000 examples, and of the mean of 32, for light tails (Gaussian data) and heavy ones
(mixtures of one centre and several widths; tight clusters far apart). About five minutes on two
CPU cores. The result goes to benchmarks/results/elbo_intervals.json, and its
figures into the docs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from benchmarks.report import into_pages, save
from samplers import REPLICATES, elbo
from sde_lib import SDE, Gaussian, GaussianMixture, sdes

NUM, SPLIT, SPLITS = 4000, 32, 2000
BLUR = 1e-3  # σ/α at t_min, where VE must not end before


def main() -> None:
    """Measure every data set under every SDE."""
    rows = []
    for name, (oracle, deviations) in data().items():
        for kind, fields in {"vp": {}, "ve": {"sigma_min": BLUR / 2}, "flow": {}}.items():
            for num_times in (8, 32):
                row = measure(oracle, deviations, sdes[kind](**fields), num_times)
                rows.append({"data": name, "sde": kind, "times": num_times} | row)
                print(rows[-1], flush=True)
    result = {"examples": NUM, "splits": SPLITS, "split": SPLIT, "rows": rows}
    save("elbo_intervals", result)
    into_pages("elbo_intervals", words(result))


def words(result: dict[str, Any]) -> str:
    """The least and the most that the intervals of examples cover, and by how many calls."""
    covered = [row["coverage"] for row in result["rows"]]
    calls = min(row["times"] for row in result["rows"])
    return (
        f"{min(covered):.1%} to {max(covered):.1%}".replace("%", " %")
        + f" of examples in closed form, from {calls} network calls on"
    )


def data() -> dict[str, tuple[Gaussian | GaussianMixture, jax.Array]]:
    """Each with the deviations along its principal directions."""
    rng = np.random.default_rng(0)
    oracles: dict[str, Gaussian | GaussianMixture] = {
        "Gaussian, 1": Gaussian.isotropic(1, 0.5, 0.3),
        "Gaussian, 8": Gaussian.isotropic(8, 0.5, 0.3),
        "Gaussian with a spectrum 1/k², 64": Gaussian(
            mean=jnp.zeros(64),
            eigenvectors=jnp.asarray(np.linalg.qr(rng.normal(size=(64, 64)))[0], dtype=float),
            eigenvalues=10 / jnp.arange(1.0, 65.0) ** 2,
        ),
        "three components, 2": mixture(rng.normal(size=(3, 2)), [0.3, 0.2, 0.4]),
        "three components, 8": mixture(rng.normal(size=(3, 8)), [0.5, 0.3, 0.4]),
        "three widths, 1": mixture(np.zeros((3, 1)), [0.1, 0.3, 1.0]),
        "three widths, 8": mixture(np.zeros((3, 8)), [0.1, 0.5, 2.0]),
        "tight clusters, 64": mixture(rng.normal(size=(3, 64)), [0.1, 0.05, 0.2]),
    }
    return {name: (oracle, spectrum(oracle)) for name, oracle in oracles.items()}


def mixture(means: np.ndarray, stds: list[float]) -> GaussianMixture:
    """Three components."""
    return GaussianMixture(
        weights=jnp.array([0.6, 0.3, 0.1]),
        means=jnp.asarray(means, dtype=float),
        stds=jnp.array(stds),
    )


def spectrum(oracle: Gaussian | GaussianMixture) -> jax.Array:
    """Deviations along the principal directions of 10,000 examples, as the command takes them."""
    dim = (oracle.mean if isinstance(oracle, Gaussian) else oracle.means[0]).size
    x = oracle.sample(jax.random.key(7), (10_000, dim))
    return jnp.sqrt(jnp.linalg.eigvalsh(jnp.atleast_2d(jnp.cov(x.T))))


def measure(
    oracle: Gaussian | GaussianMixture, deviations: jax.Array, sde: SDE, num_times: int
) -> dict[str, Any]:
    """Coverages, and sizes in nats."""
    x = oracle.sample(jax.random.key(0), (NUM, deviations.size))
    t_min = float(sde.time_of_noise_to_signal(BLUR))
    options = {"t_min": t_min, "num_times": num_times, "data_std": deviations}
    bound = elbo(jax.random.key(1), sde, oracle.model(sde), x, **options)
    alpha = sde.alpha(t_min)
    density = oracle.log_prob(sde, alpha * x, t_min) + x.shape[1] * jnp.log(alpha)
    gap = np.asarray(bound.log_prob - density, np.float64)
    half = stdtrit(REPLICATES - 1, 0.975) * np.asarray(bound.standard_error)
    # Splits of all examples, whose mean is what they estimate.
    rows = np.random.default_rng(2).permuted(np.tile(np.arange(NUM), (SPLITS, 1)), axis=1)
    splits = gap[rows[:, :SPLIT]]
    wide = stdtrit(SPLIT - 1, 0.975) * splits.std(axis=1, ddof=1) / np.sqrt(SPLIT)
    return {
        "coverage": round(float(np.mean(np.abs(gap) < half)), 4),
        "split_coverage": round(float(np.mean(np.abs(splits.mean(axis=1) - gap.mean()) < wide)), 4),
        "bias_in_standard_errors": round(float(gap.mean() / gap.std() * np.sqrt(NUM)), 2),
        "error": float(f"{gap.std():.3g}"),
        "half_width": float(f"{half.mean():.3g}"),
    }


if __name__ == "__main__":
    main()
