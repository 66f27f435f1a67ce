"""A mixture in classes, and its models, guided."""

import jax
import jax.numpy as jnp
import numpy as np

from samplers import ClassifierGuidance, Guidance
from sde_lib import VP, Condition, ConditionalMixture
from tests.cases import mixture

KEY, SDE, T_MIN = jax.random.key(0), VP(), 1e-2
DATA = ConditionalMixture(mixture=mixture(), classes=jnp.array([0, 1, 0]))
X = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
COND = Condition(label=jnp.array([0, 1, 1, 0]))


def guidance(sde, scale, **fields):
    """At any scale, 1 among them, one program."""
    return Guidance(model=DATA.model(sde), sde=sde, scale=jnp.asarray(scale), **fields)


def classifier(sde, scale, **fields):
    log_prob = jax.tree_util.Partial(ConditionalMixture.log_posterior, DATA, sde)
    return ClassifierGuidance(
        model=DATA.model(sde), sde=sde, log_prob=log_prob, scale=scale, **fields
    )
