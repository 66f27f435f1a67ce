"""Opening the workdir that a command is given."""

import argparse
from typing import TYPE_CHECKING, Any

from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.workdir.trained_model import TrainedModel


def open_trained(
    options: argparse.Namespace,
    overrides: list[str],
    by_field: dict[str, Any],
    *sections: str,
    divergence: bool = False,
) -> "TrainedModel":
    """The trained model of the workdir, with flags and overrides applied.

    Args:
      options: the command's.
      overrides: fields of the config by hand.
      by_field: by field of the config what flags say; None where they do not.
      sections: of the config, of which fields may be overridden.
      divergence: whether that of the model is needed.

    Raises:
      UserError: a seed out of range, a field of another section, or as of `TrainedModel.open`.
    """
    from experiments.runtime import devices, seeds
    from experiments.workdir.trained_model import TrainedModel

    seeds.check(options.seed, "--seed")
    devices.start()
    given = [f"--config.{path}={value}" for path, value in by_field.items() if value is not None]
    for argument in overrides:
        takes = tuple(f"--config.{section}." for section in sections)
        if argument.startswith("--config.") and not argument.startswith(takes):
            raise UserError(
                f"{argument}: {options.command} takes {' and '.join(f'{t}*' for t in takes)}; "
                "the rest is the workdir's"
            )
    return TrainedModel.open(
        options.workdir,
        overrides + given,
        devices.make_mesh(options.devices),
        raw=options.raw,
        average=options.average,
        divergence=divergence,
    )
