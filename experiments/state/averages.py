"""Averages of the parameters over training, and others rebuilt from them afterwards.

With θ_k the parameters after update k = 1, 2, … and θ_0 the initial ones, an average is

    θ̂_k = θ̂_{k−1} + r_k (θ_k − θ̂_{k−1}),   θ̂_0 = θ_0                                (1)

    "0.9999"           exponential of decay d:   r_k = max(1 − d, 9/(9 + k))          (2)
    "half_life:2000"   the same, d = 2^{−1/2000}
    "power:0.05"       power law of relative width σ_rel:   r_k = 1 − (1 − 1/k)^{γ+1}   (3)

Eq. 2 is the decay min(d, k/(9 + k)), which forgets the initial parameters quickly (the warm-up of
TensorFlow's ExponentialMovingAverage, (1 + n)/(10 + n) after n = k − 1 updates). Eq. 3 is exactly

    θ̂_k = ∫_0^k p(τ) θ(τ) dτ,   p(τ) = (γ + 1) τ^γ / k^{γ+1}                         (4)

with θ(τ) = θ_j on (j − 1, j]: it has no θ_0 in it, and its width is σ_rel·k at every k,

    σ_rel = (γ + 1)^{1/2} (γ + 2)^{−1} (γ + 3)^{−1/2}                                (5)

The profile p of an average that was not tracked is fitted by those of stored ones, by least squares
under Σ w_i = 1, so that parameters that do not move come out exactly:

    ∫ p_i p_j = (γ_i + 1)(γ_j + 1) m^{γ_i+γ_j+1} / ((γ_i + γ_j + 1) k_i^{γ_i+1} k_j^{γ_j+1})   (6)

with m = min(k_i, k_j).

Reference: Karras et al. 2024 "Analyzing and improving the training dynamics of diffusion models",
§3, App. C.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from experiments.config_schema.sections import TrainingConfig
from experiments.errors import UserError

MAX_SIGMA_REL = 12**-0.5
"""0.2887, of γ = 0: the plain mean of all parameters so far."""

_TAKES = (
    "takes a decay in [0, 1) such as '0.9999', 'half_life:STEPS' with STEPS > 0, or "
    f"'power:WIDTH' with 0 < WIDTH < {MAX_SIGMA_REL:.4f}"
)


@dataclass(frozen=True)
class Exponential:
    """An exponential average whose decay warms up: r_k of eq. 2 of this module.

    Args:
      name: as the config has it.
      forgetting: 1 − d.
    """

    name: str
    forgetting: float

    def rate(self, step: ArrayLike) -> Array:
        """r of eq. 1 for the update that follows `step` others."""
        return jnp.maximum(self.forgetting, 9.0 / (10.0 + step))


@dataclass(frozen=True)
class PowerLaw:
    """An average with weights of a power of the step: r_k of eq. 3 of this module.

    Args:
      name: as the config has it.
      sigma_rel: the relative width.
    """

    name: str
    sigma_rel: float

    def rate(self, step: ArrayLike) -> Array:
        """r of eq. 1 for the update that follows `step` others: 1 at the first."""
        # 1 − (1 − 1/k)^{γ+1} would lose its digits when k is large.
        return -jnp.expm1((gamma(self.sigma_rel) + 1) * jnp.log1p(-1.0 / (1.0 + step)))


Average = Exponential | PowerLaw


def names(config: TrainingConfig) -> tuple[str, ...]:
    """Names of the averages that the section `training` keeps; sampling uses the first."""
    return (repr(config.ema_decay), *map(str, config.averages))


def parse(names: Iterable[str | float]) -> tuple[Average, ...]:
    """The averages of a config; a number that a flag made of a decay is taken as well.

    Raises:
      UserError: a name that is none of the three kinds, out of range, or given twice.
    """
    texts = [str(name) for name in names]
    for text in texts:
        if texts.count(text) > 1:
            raise UserError(f"training.averages: got {text!r} twice, takes each once")
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Average:
    kind, _, number = text.rpartition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if kind == "" and 0 <= value < 1:
        return Exponential(text, 1 - value)
    if kind == "half_life" and 0 < value < math.inf:
        return Exponential(text, -math.expm1(-math.log(2) / value))
    if kind == "power" and 0 < value < MAX_SIGMA_REL:
        return PowerLaw(text, value)
    raise UserError(f"training.averages: got {text!r}, {_TAKES}")


def init(specs: tuple[Average, ...], params: Any) -> dict[str, Any]:
    """The averages θ̂_0 before the first update, by name.

    Each is a float32 copy of the parameters, since a donated buffer is held once.
    """
    return {
        spec.name: jax.tree.map(lambda p: jnp.array(p, jnp.float32, copy=True), params)
        for spec in specs
    }


def update(
    specs: tuple[Average, ...], averages: dict[str, Any], params: Any, step: ArrayLike
) -> dict[str, Any]:
    """The averages after one more update, eq. 1 of this module.

    Args:
      specs: from `parse`.
      averages: θ̂_{k−1} by name, from `init` or the last update.
      params: θ_k, after the optimizer's update.
      step: k − 1, the updates done before this one: 0 at the first.

    Returns:
      θ̂_k by name, float32. A change below half a unit in the last place of θ̂ is lost.
    """
    return {
        spec.name: _approach(averages[spec.name], params, spec.rate(step).astype(jnp.float32))
        for spec in specs
    }


def _approach(average: Any, params: Any, rate: Array) -> Any:
    # Not (1 − r) θ̂ + r θ: rounded, those two weights do not sum to 1. At r = 8e-6, of "power:0.1"
    # after a million steps, that average is off by 0.6 % (measured), this one by 2e-6.
    return jax.tree.map(lambda a, p: a + rate * (p.astype(a.dtype) - a), average, params)


def gamma(sigma_rel: float) -> float:
    """γ of eq. 5, the largest root of (γ + 2)² (γ + 3) = (γ + 1)/σ_rel².

    Raises:
      UserError: σ_rel is not in (0, 0.2887).
    """
    check_sigma_rel(sigma_rel, "sigma_rel")
    inverse = sigma_rel**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


def check_sigma_rel(sigma_rel: float, path: str) -> None:
    """Stop a relative width that no increasing power law has.

    Raises:
      UserError: it is not in (0, 0.2887).
    """
    if not 0 < sigma_rel < MAX_SIGMA_REL:
        raise UserError(f"{path}: got {sigma_rel}, takes a width in (0, {MAX_SIGMA_REL:.4f})")


def reconstruction_weights(
    stored: list[tuple[float, int]], target: tuple[float, int]
) -> np.ndarray:
    """The weights w of stored power-law averages that together are nearest to another one.

    They minimise ∫ (p − Σ w_i p_i)² under Σ w_i = 1, in float64.

    Args:
      stored: (σ_rel, k) of each average.
      target: (σ_rel, k) of the one that is wanted.

    Returns:
      w [len(stored)].

    Raises:
      UserError: a σ_rel that is not in (0, 0.2887).
    """
    num = len(stored)
    # The Lagrangian's stationary point. Least squares, as equal profiles make the system singular.
    system = np.ones((num + 1, num + 1))
    system[:num, :num] = _inner_products(stored, stored, target[1])
    system[num, num] = 0
    right = np.append(_inner_products(stored, [target], target[1]), 1)
    return np.linalg.lstsq(system, right, rcond=None)[0][:num]


def profile_error(
    stored: list[tuple[float, int]], target: tuple[float, int], weights: np.ndarray
) -> float:
    """‖p − Σ w_i p_i‖/‖p‖ in L2: how far the reconstructed profile is from the one wanted.

    The reconstructed average is off by at most this times ‖p‖ (∫ (θ − c)²)^{1/2}, for any c.

    Args:
      stored, target: as of `reconstruction_weights`.
      weights: w [len(stored)].
    """
    square = _inner_products([target], [target], target[1])[0, 0]
    cross = weights @ _inner_products(stored, [target], target[1])[:, 0]
    fitted = weights @ _inner_products(stored, stored, target[1]) @ weights
    return math.sqrt(max(square - 2 * cross + fitted, 0.0) / square)


def _inner_products(
    rows: list[tuple[float, int]], columns: list[tuple[float, int]], unit: int
) -> np.ndarray:
    """Eq. 6 in units of time of `unit` steps, [rows, columns]."""
    a, b = (np.array([[gamma(s), k / unit] for s, k in profiles]) for profiles in (rows, columns))
    (gamma_a, k_a), (gamma_b, k_b) = a.T[:, :, None], b.T[:, None]
    m = np.minimum(k_a, k_b)
    # In ratios ≤ 1: powers of k itself overflow.
    overlap = (m / k_a) ** gamma_a * (m / k_b) ** gamma_b * m / (k_a * k_b)
    return (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1) * overlap


def combine(weights: np.ndarray, trees: Iterable[Any]) -> Any:
    """The weighted sum Σ w_i θ̂_i of averages, in float64, with float32 NumPy leaves.

    Args:
      weights: w [n].
      trees: n trees θ̂_i, taken one at a time.
    """
    total: Any = None
    for weight, tree in zip(weights, trees, strict=True):
        part = jax.tree.map(lambda leaf, w=weight: w * np.asarray(leaf, np.float64), tree)
        total = part if total is None else jax.tree.map(np.add, total, part)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), total)
