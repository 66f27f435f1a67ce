"""Optimizers by name, under a clipped gradient, a warm-up and a schedule.

An optimizer is a function (learning_rate, *, …) → GradientTransformation, learning_rate a schedule
of the step. Of its keyword arguments those without a default are the fields of the section
`training` that it takes; the others are its own, given in `training.optimizer_args`.

Weight decay is decoupled, −η w θ beside the optimizer's own step (Loshchilov and Hutter 2019), and
spares parameters of one dimension: biases, scales of norms, frequencies.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from optax import GradientTransformation

from experiments.config_schema.lookup import lookup
from experiments.config_schema.own_code import check_returns
from experiments.config_schema.sections import TrainingConfig
from experiments.errors import UserError, as_user_error, blaming
from experiments.state.schedules import schedules
from models import STACKED
from sde_lib import Range, Registry, declared
from sde_lib.registry import unknown_name

optimizers = Registry("optimizer", Callable)

Schedule = Callable[[Array], Array]

_DECAY = Range(low=0, below=1)
_DTYPES = Range(choices=("bfloat16", "float16", "float32"))


@optimizers.register("adam")
def adam(
    learning_rate: Schedule,
    *,
    beta1: float,
    beta2: float,
    adam_eps: float,
    nesterov: bool = False,
    mu_dtype: Annotated[str | None, _DTYPES] = None,
) -> GradientTransformation:
    """Adam: steps of a momentum over the root of the mean square gradient.

    Args:
      learning_rate: η as a function of the step.
      beta1, beta2: decays of the mean of gradients and of their squares.
      adam_eps: is added to the root.
      nesterov: whether the momentum looks ahead.
      mu_dtype: of the first moment, as "bfloat16"; None: that of the parameters.

    Reference: Kingma and Ba 2015.
    """
    return optax.adam(
        learning_rate, b1=beta1, b2=beta2, eps=adam_eps, nesterov=nesterov, mu_dtype=mu_dtype
    )


@optimizers.register("adamw")
def adamw(
    learning_rate: Schedule,
    *,
    beta1: float,
    beta2: float,
    adam_eps: float,
    weight_decay: float,
    nesterov: bool = False,
    mu_dtype: Annotated[str | None, _DTYPES] = None,
) -> GradientTransformation:
    """Adam with decoupled weight decay.

    Args:
      learning_rate, beta1, beta2, adam_eps, nesterov, mu_dtype: as of `adam`.
      weight_decay: w; a step takes η w θ off a kernel.

    Reference: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).
    """
    return optax.adamw(
        learning_rate,
        b1=beta1,
        b2=beta2,
        eps=adam_eps,
        weight_decay=weight_decay,
        mask=is_kernel,
        nesterov=nesterov,
        mu_dtype=mu_dtype,
    )


@optimizers.register("lion")
def lion(
    learning_rate: Schedule,
    *,
    beta1: float,
    weight_decay: float,
    b2: Annotated[float, _DECAY] = 0.99,
) -> GradientTransformation:
    """The sign of a momentum: half the memory of Adam.

    It takes a learning rate 3–10 times smaller, and a weight decay larger by as much.

    Args:
      learning_rate, weight_decay: as of `adamw`.
      beta1: weight of the momentum in the step.
      b2: decay of the momentum, which is no second moment, so `training.beta2` does not touch it.

    Reference: Chen et al., "Symbolic discovery of optimization algorithms" (2023).
    """
    return optax.lion(learning_rate, b1=beta1, b2=b2, weight_decay=weight_decay, mask=is_kernel)


@optimizers.register("muon")
def muon(
    learning_rate: Schedule,
    *,
    beta1: float,
    beta2: float,
    adam_eps: float,
    weight_decay: float,
    beta: Annotated[float, _DECAY] = 0.95,
    ns_steps: Annotated[int, Range(low=1)] = 5,
    nesterov: bool = True,
    consistent_rms: Annotated[float | None, Range(above=0)] = 0.2,
) -> GradientTransformation:
    """Orthogonalised momentum for kernels, Adam without weight decay for the rest.

    Optax orthogonalises matrices alone, and would leave every convolution to Adam. Here a kernel
    [..., in, out] of any rank is the matrix [⋯·in, out] that multiplies a patch.

    Args:
      learning_rate: of both.
      beta1: Adam's.
      beta2: Adam's.
      adam_eps: of both.
      weight_decay: of kernels.
      beta: Muon's momentum.
      ns_steps: Newton–Schulz iterations.
      nesterov: in both.
      consistent_rms: the root mean square of Muon's steps over the learning rate; 0.2 is about
        Adam's, so that a learning rate suits both. None: √max(1, out/in) times an orthogonal
        matrix, whose learning rate is about 0.02.

    References: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); Liu
    et al., "Muon is scalable for LLM training" (2025), §2.2 (consistent_rms).
    """
    return optax.contrib.muon(
        learning_rate,
        beta=beta,
        ns_steps=ns_steps,
        eps=adam_eps,
        weight_decay=weight_decay,
        nesterov=nesterov,
        adam_b1=beta1,
        adam_b2=beta2,
        muon_weight_dimension_numbers=_as_matrices,
        consistent_rms=consistent_rms,
    )


@optimizers.register("sgd")
def sgd(learning_rate: Schedule, *, beta1: float, nesterov: bool = False) -> GradientTransformation:
    """Gradient descent with momentum: m ← beta1 m + g.

    Args:
      learning_rate: as of `adam`.
      beta1: decay of the momentum.
      nesterov: whether the momentum looks ahead.

    Reference: Sutskever et al., "On the importance of initialization and momentum" (2013).
    """
    return optax.sgd(learning_rate, momentum=beta1, nesterov=nesterov)


def is_kernel(params: Any) -> Any:
    """Which parameters are matrices or convolutions, not biases or scales."""
    return jax.tree_util.tree_map_with_path(lambda path, p: p.ndim - _stacked(path) > 1, params)


def _stacked(path: tuple) -> int:
    """1 for a parameter whose first axis is that of the blocks of a scan, else 0."""
    return int(any(getattr(key, "key", None) == STACKED for key in path))


def _as_matrices(params: Any) -> Any:
    """The axes of each kernel that are rows and columns of its matrix; None for the rest."""

    def axes(path: tuple, p: Array) -> optax.contrib.MuonDimensionNumbers | None:
        first = _stacked(path)
        if p.ndim - first < 2:
            return None
        return optax.contrib.MuonDimensionNumbers(tuple(range(first, p.ndim - 1)), p.ndim - 1)

    return jax.tree_util.tree_map_with_path(axes, params)


def learning_rate(config: TrainingConfig) -> Schedule:
    """The learning rate at a step: a linear warm-up times the schedule."""
    schedule = schedules[config.schedule]

    def rate(count: Array) -> Array:
        warmup = jnp.minimum((count + 1) / max(config.warmup, 1), 1.0)
        return config.learning_rate * warmup * schedule(count / config.num_steps)

    return rate


def make_optimizer(config: TrainingConfig) -> GradientTransformation:
    """The optimizer of the section `training`, behind a bound on the gradient's global norm.

    Args:
      config: the section.

    Raises:
      UserError: an unknown optimizer or argument, an argument of a wrong type, or a weight decay
        for an optimizer that has none.
    """
    make = lookup(optimizers, config.optimizer, "training.optimizer")
    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    own = [name for name, default in keywords.items() if default is not inspect.Parameter.empty]
    _check_args(config.optimizer, config.optimizer_args, make, own)
    if config.weight_decay and "weight_decay" not in keywords:
        raise UserError(
            f"training.weight_decay: got {config.weight_decay}, takes 0 with optimizer "
            f"{config.optimizer!r}, or one that decays, such as 'adamw'"
        )
    fields = {name: getattr(config, name) for name in keywords if name not in own}
    with blaming(f"training.optimizer: {config.optimizer}"):
        optimizer = make(learning_rate(config), **fields, **config.optimizer_args)
    if ":" in config.optimizer:
        _check_optimizer(f"training.optimizer: {config.optimizer}", optimizer)
    bounded = optax.chain(optax.clip_by_global_norm(config.grad_clip), optimizer)
    return _of_each_part(bounded) if config.learn_sde else bounded


def _of_each_part(optimizer: GradientTransformation) -> GradientTransformation:
    """The optimizer for each part of the parameters (eq. 1 of `learned_sde`), apart from the other.

    The gradient of a variance is in other units than the network's, whose norm it would decide.
    """

    def update(slope: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        each = {name: optimizer.update(slope[name], state[name], params[name]) for name in slope}
        updates, states = ({name: pair[i] for name, pair in each.items()} for i in (0, 1))
        return updates, states

    def init(params: Any) -> Any:
        return {name: optimizer.init(part) for name, part in params.items()}

    return GradientTransformation(init, update)


def _check_args(optimizer: str, given: dict[str, Any], make: Callable, own: list[str]) -> None:
    """Stop an argument that the optimizer has not, or of another type or out of range.

    Raises:
      UserError: the first such argument.
    """
    takes = declared(make)
    for name, value in given.items():
        path = f"training.optimizer_args.{name}"
        if name in takes and name not in own:
            raise UserError(f"{path}: got {value!r}, takes nothing: it is training.{name}")
        if name not in own:
            message = unknown_name(f"argument of {optimizer}", name, own)
            raise UserError(f"training.optimizer_args: {message}")
        with as_user_error():
            takes[name].check(path, value)


def _check_optimizer(whose: str, optimizer: Any) -> None:
    """Update some parameters.

    Raises:
      UserError: it is no optimizer, raises, or changes a parameter to another shape.
    """
    if not isinstance(optimizer, optax.GradientTransformation):
        raise UserError(f"{whose}: returned {type(optimizer).__name__}, takes an optax optimizer")
    params = {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(2)}

    def update(params: Any) -> Any:
        return optimizer.update(params, optimizer.init(params), params)[0]

    check_returns(whose, update, (params,), params)
