"""Why samples are not finite: the coefficients of a method, or the state."""

from experiments.config_schema.sections import SamplingConfig
from samplers import Sampler
from sde_lib import SDE


def reason(config: SamplingConfig, sampler: Sampler, sde: SDE) -> str:
    """Why samples were not finite, from parameters and latents that are.

    Args:
      config: the section, which says the names.
      sampler: what they were drawn by.
      sde: the SDE that they were drawn under.
    """
    found = sampler.not_finite(sde)
    if found is None:
        return f"the state grew beyond float32; takes {sampler.remedy}"
    part, t = found
    return (
        f"the coefficients of {part} {getattr(config, part)!r} are not at t = {t:g} under "
        f"{type(sde).__name__}; takes another, more steps cannot help"
    )
