"""Networks that take a condition: by its kind, and the learned null of what does not keep one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import EDM2, MLP, abstract_params
from sde_lib import Condition

NETWORKS = {
    "mlp": (MLP, {"hidden": (8,), "embedding_dim": 8}, (2,)),
    "edm2": (
        EDM2,
        {"nf": 8, "ch_mult": (1,), "num_res_blocks": 1, "head_dim": 8},
        (4, 4, 1),
    ),
}
LABEL, VECTOR = jnp.array([0, 2, 1]), jnp.array([[1.0, 2.0], [0.0, 1.0], [3.0, 3.0]])
GIVEN = {"num_classes": Condition(label=LABEL), "cond_dim": Condition(vector=VECTOR)}


@pytest.mark.parametrize("field", GIVEN)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_null_stands_for_what_is_not_kept(name, field):
    """Example by example; it is one learned vector, whatever the condition was."""
    cls, fields, shape = NETWORKS[name]
    net, given = cls(**fields, **{field: 3 if field == "num_classes" else 2}), GIVEN[field]
    leaves, tree = jax.tree.flatten(abstract_params(net, shape))
    rng = np.random.RandomState(0)
    params = tree.unflatten([rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves])
    x, c = rng.normal(size=(3, *shape)).astype(np.float32), jnp.array([0.1, 0.5, 0.9])
    run = jax.jit(lambda params, cond: net.apply({"params": params}, x, c, cond))
    kept, null = run(params, given.drop(jnp.ones(3, bool))), run(params, given.null)
    mixed = run(params, given.drop(jnp.array([True, False, True])))
    # Two programs may round a few sums apart.
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5 * np.abs(kept).max())
    close(mixed[1], null[1])
    close(mixed[::2], kept[::2])
    other = jax.tree.map(lambda leaf: jnp.roll(leaf, 1, axis=0), given)
    close(run(params, other.null), null)
    learned = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf[::-1] if path[-1].key == "null" else leaf, params
    )
    close(run(learned, given), kept)
    assert (np.abs(run(learned, given.null) - null).max(axis=tuple(range(1, x.ndim))) > 1e-3).all()
    dropped_twice = given.drop(jnp.array([True, False, True])).drop(jnp.array([False, True, True]))
    np.testing.assert_array_equal(dropped_twice.keep, [False, False, True])


def test_what_is_no_condition_is_named():
    """Neither kind, or a network that is asked for both."""
    with pytest.raises(ValueError, match=r"^condition: got nothing, takes a label or a vector$"):
        _ = Condition().null
    net = MLP(hidden=(8,), embedding_dim=8, num_classes=3, cond_dim=2)
    with pytest.raises(ValueError, match=r"^cond_dim: got 2, takes 0 beside 3 classes"):
        abstract_params(net, (2,))
