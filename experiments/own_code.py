"""A user's own functions, tried out on a few numbers before any work: what they return is checked.

Nothing is computed: the shapes alone are traced.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import samplers
from experiments.errors import UserError, blaming
from experiments.named import lookup
from experiments.schedules import schedules
from experiments.sections import Experiment
from models import conditionings
from samplers import Corrector, Solver
from sde_lib import SDE, VP, Prediction, time_samplers, weightings

_T = jax.ShapeDtypeStruct((2,), jnp.float32)
_X = jax.ShapeDtypeStruct((2, 3), jnp.float32)


def check_functions(experiment: Experiment, process: SDE, t_min: float) -> None:
    """Try the functions of time that a config names.

    Raises:
      UserError: an unknown one, one that raises, or one that returns something else.
    """
    training, std = experiment.training, experiment.data.std
    tried: dict[str, tuple[Any, Any, Callable, Any]] = {
        "model.conditioning": (
            conditionings,
            experiment.model.conditioning,
            lambda f, t: f(process, t),
            _T,
        ),
        "training.weighting": (
            weightings,
            training.weighting,
            lambda f, t: tuple(f(process, t, std)),
            (_T, _T),
        ),
        "training.times": (
            time_samplers,
            training.times,
            lambda f, t: tuple(f(process, t, t_min)),
            (_T, _T),
        ),
        "training.schedule": (schedules, training.schedule, lambda f, t: f(t), _T),
    }
    for path, (registry, name, call, takes) in tried.items():
        function = lookup(registry, str(name), path)
        check_returns(f"{path}: {name}", lambda t, f=function, c=call: c(f, t), (_T,), takes)


def check_returns(whose: str, call: Callable, arguments: tuple, takes: Any) -> None:
    """Stop what raises, or returns other shapes than those.

    Args:
      whose: the field and the name in it.
      call: what is tried.
      arguments: trees of arrays or of their shapes.
      takes: a tree of arrays or of shapes.

    Raises:
      UserError: it does.
    """
    with blaming(whose):
        returned = jax.eval_shape(call, *arguments)
    got, expected = (jax.tree.map(jnp.shape, tree) for tree in (returned, takes))
    if got != expected:
        raise UserError(f"{whose}: returned shapes {got}, takes {expected}")


def check_method(whose: str, solver: Solver, corrector: Corrector | None) -> None:
    """Draw two samples of three dimensions in three steps.

    Raises:
      UserError: the solver or the corrector raises, or moves a state to another shape.
    """

    def model(x: Any, t: Any, cond: Any = None) -> Prediction:
        del t, cond
        return Prediction(data=x, noise=x)

    def draw(key: Any, grid: Any) -> Any:
        return samplers.sample(
            key,
            VP(),
            jax.tree_util.Partial(model),
            _X.shape,
            solver=solver,
            corrector=corrector,
            grid=grid,
        )

    check_returns(whose, draw, (jax.random.key(0), jnp.linspace(0.9, 0.1, 4)), _X)


def check_optimizer(whose: str, optimizer: Any) -> None:
    """Update some parameters.

    Raises:
      UserError: it is no optimizer, raises, or changes a parameter to another shape.
    """
    if not isinstance(optimizer, optax.GradientTransformation):
        raise UserError(f"{whose}: returned {type(optimizer).__name__}, takes an optax optimizer")
    params = {"kernel": _X, "bias": _T}

    def update(params: Any) -> Any:
        return optimizer.update(params, optimizer.init(params), params)[0]

    check_returns(whose, update, (params,), params)
