"""The probability flow of data in closed form."""

from samplers import ProbabilityFlow

T_MIN = 1e-3


def flow_of(sde, oracle, **options):
    """The flow of data in closed form, down to T_MIN."""
    return ProbabilityFlow(**{"sde": sde, "model": oracle.model(sde), "t_min": T_MIN} | options)
