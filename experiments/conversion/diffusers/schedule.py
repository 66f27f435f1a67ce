"""From a scheduler's config to the SDE, and to what the network's output means.

A DDPM is Song et al.'s VP: β_i of step i < N from β_start to β_end linearly, N = 1000, is their

    β(t) = β_min + t (β_max − β_min),    β_min = N β_start,    β_max = N β_end,    i = 999 t

DDPM's 1e-4 and 0.02 are β_min 0.1 and β_max 20. The product of the 1 − β_j up to j = i is not
e^{−B(t)} exactly (step i = 0 has σ² = β_start, t = 0 has none): the logarithms of σ/α differ by
0.35 at i = 1, 0.05 at i = 10, 0.01 at i = 50, 0.006 at i = 500 and 0.03 at i = 999.

Reference: Song et al., "Score-based generative modeling through SDEs" (2021), App. B and C.
"""

import dataclasses
import pathlib
from typing import Any

from experiments.config_schema.sections import Experiment
from experiments.conversion import json_config
from experiments.conversion.json_config import one_of
from experiments.errors import UserError

_PARAMETERIZATIONS = {"epsilon": "noise", "sample": "data", "v_prediction": "v"}
_VE = "ScoreSdeVeScheduler"
_STEPS = 1000  # c = 999 t


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a scheduler's config says of the SDE, with the defaults of DDPMScheduler."""

    class_name: str = "DDPMScheduler"
    num_train_timesteps: int = _STEPS
    beta_start: float = 1e-4
    beta_end: float = 0.02
    beta_schedule: str | None = None
    trained_betas: tuple[float, ...] | None = None
    rescale_betas_zero_snr: bool = False
    prediction_type: str = "epsilon"
    sigma_min: float = 0.01
    sigma_max: float = 1348.0


def sde_fields(path: pathlib.Path | None, embedding: str, center_input: bool) -> dict[str, Any]:
    """The config fields of the SDE, of the output's meaning and of the data's range.

    Without a scheduler's config the SDE's own numbers are the defaults of VP and VE.

    Args:
      path: the scheduler's config, or None.
      embedding: the network's, "positional" (of VP) or "fourier" (of VE).
      center_input: whether the network centres data in [0, 1].

    Raises:
      UserError: a schedule that no SDE here has.
    """
    schedule = None if path is None else json_config.load(Schedule, path)
    if embedding == "fourier":
        return _ve(schedule, path)
    return _vp(schedule, path) | {"data.centered": not center_input}


def schedule_of(experiment: Experiment) -> dict[str, Any]:
    """A scheduler's config of the SDE, and of what the network's output means.

    Raises:
      UserError: no scheduler has them.
    """
    sde: Any = experiment.sde
    if sde.name == "ve":
        fields = {"sigma_min": sde.sigma_min, "sigma_max": sde.sigma_max}
        return {"_class_name": _VE, "num_train_timesteps": _STEPS} | fields
    if sde.name != "vp":
        raise UserError(f"sde.name: got {sde.name!r}, takes 'vp' or 've' with --to=diffusers")
    kinds = {ours: theirs for theirs, ours in _PARAMETERIZATIONS.items()}
    if (given := experiment.model.parameterization) not in kinds:
        takes = " or ".join(map(repr, kinds))
        raise UserError(f"model.parameterization: got {given!r}, takes {takes} with --to=diffusers")
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": _STEPS,
        "beta_schedule": "linear",
        "beta_start": sde.beta_min / _STEPS,
        "beta_end": sde.beta_max / _STEPS,
        "prediction_type": kinds[given],
    }


def _ve(schedule: Schedule | None, path: pathlib.Path | None) -> dict[str, Any]:
    """Data in [0, 1]; UNet2DModel divides its output by σ and calls it the score."""
    fields = {
        "sde.name": "ve",
        "model.parameterization": "scaled_score",
        "model.conditioning": "log_sigma",
        "data.centered": False,
    }
    if schedule is None:
        return fields
    one_of(f"{path}: _class_name", schedule.class_name, (_VE,))
    return fields | {"sde.sigma_min": schedule.sigma_min, "sde.sigma_max": schedule.sigma_max}


def _vp(schedule: Schedule | None, path: pathlib.Path | None) -> dict[str, Any]:
    fields = {
        "sde.name": "vp",
        "model.parameterization": "noise",
        "model.conditioning": "time",
    }
    if schedule is None:
        return fields
    if schedule.beta_schedule is None:
        raise UserError(
            f"{path}: _class_name: got {schedule.class_name!r}, takes a scheduler of β_i, or no "
            "such file: the SDE is then to be chosen"
        )
    for name, takes in (
        ("beta_schedule", ("linear",)),
        ("trained_betas", (None,)),
        ("rescale_betas_zero_snr", (False,)),
        ("num_train_timesteps", (_STEPS,)),
        ("prediction_type", tuple(_PARAMETERIZATIONS)),
    ):
        one_of(f"{path}: {name}", getattr(schedule, name), takes)
    return fields | {
        "model.parameterization": _PARAMETERIZATIONS[schedule.prediction_type],
        "sde.beta_min": _STEPS * schedule.beta_start,
        "sde.beta_max": _STEPS * schedule.beta_end,
    }
