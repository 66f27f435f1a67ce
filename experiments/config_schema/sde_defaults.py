"""What follows from the choice of SDE, so that `--config.sde.name=...` alone is an experiment.

The rows of VP, sub-VP and VE are the published ones. Any other SDE, a user's own among them, takes
the last, which depends on σ/α alone: there t_min is the time at which σ/α has the stated value.

References: Song et al., "Score-based generative modeling through SDEs" (2021), App. C and H;
Karras et al., "Elucidating the design space of diffusion-based generative models" (2022).
"""

import copy
from typing import Any

from experiments.paths import expand

_NOISE_PREDICTION = {
    "model.parameterization": "noise",
    "model.conditioning": "time",
    "data.centered": True,
    "training.t_min": 1e-5,
    "training.ema_decay": 0.9999,
    "training.weighting": "sigma2",
    "training.times": "uniform",
    "sampling.t_min": 1e-3,
}

_BY_SDE: dict[str, dict[str, Any]] = {
    "vp": _NOISE_PREDICTION,
    "subvp": _NOISE_PREDICTION,
    "ve": {
        "model.parameterization": "scaled_score",
        "model.conditioning": "log_sigma",
        "data.centered": False,
        "training.t_min": 1e-5,
        "training.ema_decay": 0.999,
        "training.weighting": "sigma2",
        "training.times": "uniform",
        "sampling.t_min": 1e-5,
    },
}

# Those of Karras et al. 2022, Table 1 and §5, mean the same under every SDE.
_ANY_SDE: dict[str, Any] = {
    "model.parameterization": "edm",
    "model.conditioning": "log_noise",
    "data.centered": True,
    "training.t_min": None,
    "training.ema_decay": 0.9999,
    "training.weighting": "edm",
    "training.times": "log_normal",
    "sampling.t_min": None,
}

SAME_UNDER_EVERY_SDE = {
    name: _ANY_SDE[name]
    for name in (
        *("model.parameterization", "model.conditioning"),
        *("training.weighting", "training.times"),
    )
}
"""With all of these a network learns the same at a noise-to-signal ratio, whatever the SDE is."""

# Of an SDE that is learned: the variational bound, at the times whose variance it learns.
_LEARNED = {"training.weighting": "likelihood", "training.times": "uniform"}

_EMBEDDINGS = {
    "time": "positional",
    "smld_step": "positional",
    "log_sigma": "fourier",
    "log_noise": "positional",
}

# σ/α at t_min where the SDE has no published value; VP's published 1e-5 and 1e-3 are at these.
TRAINING_NOISE_TO_SIGNAL = 1e-3
SAMPLING_NOISE_TO_SIGNAL = 1e-2


def fill(config: dict[str, Any]) -> dict[str, Any]:
    """Replace each None that the SDE decides, in a config of nested dicts.

    t_min stays None where it is to be found from σ/α (`builders.model.t_min_of`).
    """
    filled = copy.deepcopy(config)
    learned = _LEARNED if filled["training"]["learn_sde"] else {}
    for path, value in (_BY_SDE.get(filled["sde"]["name"], _ANY_SDE) | learned).items():
        section, name = path.split(".")
        if filled[section][name] is None:
            filled[section][name] = value
    model = filled["model"]
    if "embedding" in model and model["embedding"] is None:
        model["embedding"] = _EMBEDDINGS.get(model["conditioning"])
    if "center_input" in model and model["center_input"] is None:
        # As published, but where the input is scaled by EDM's preconditioning.
        scaled = model["parameterization"] == "edm"
        model["center_input"] = not filled["data"]["centered"] and not scaled
    grid = filled["sampling"]["grid"]
    if grid and grid.endswith(".npy"):
        # A relative path is one in the folder that it was given in, whatever folder a later
        # command runs in.
        filled["sampling"]["grid"] = str(expand(grid).absolute())
    return filled
