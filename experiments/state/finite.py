"""Parameters that are not finite numbers."""

from typing import Any

import jax
import numpy as np

from experiments.errors import UserError
from experiments.runtime.devices import fetch


def check_parameters(params: Any, where: object) -> None:
    """Stop parameters that are not finite numbers.

    Args:
      params: a tree of arrays.
      where: what they are from, for the message.

    Raises:
      UserError: one is not a finite number; names the first array and counts them.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    bad = [path for path, leaf in leaves if not np.isfinite(fetch(leaf)).all()]
    if bad:
        name = jax.tree_util.keystr(bad[0], simple=True, separator="/")
        raise UserError(
            f"{where}: {len(bad)} of {len(leaves)} arrays of parameters have numbers that are not "
            f"finite, first {name}; takes others, as from an earlier checkpoint"
        )
