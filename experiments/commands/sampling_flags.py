"""Flags of commands that draw samples: how they are drawn, and of which classes."""

import argparse
from typing import TYPE_CHECKING, Any

from experiments.commands.arguments import positive
from experiments.errors import UserError

if TYPE_CHECKING:
    from experiments.sampling.classifier_guide import ClassifierGuide
    from experiments.workdir.trained_model import TrainedModel


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """--solver and what goes with it; classes, guidance and a classifier."""
    add = parser.add_argument
    add("--solver", help="NAME[:field=value,…] of `scoresde solvers`")
    add("--corrector", help="langevin, annealed_langevin or none")
    finer = parser.add_mutually_exclusive_group()
    finer.add_argument("--steps", type=positive, help="steps of the grid")
    finer.add_argument("--rtol", type=float, help="the tolerance of an adaptive solver")
    add("--grid", help="NAME[:field=value], fitted:NAME, or times in a .npy")
    add("--sde", help="sample under another SDE: NAME[:field=value,…]")
    add("--classes", help="of what is conditional: 3, or cat,dog, or all")
    add("--guidance", type=float, metavar="W", help="scale of guidance; 1 is none")
    add("--classifier", metavar="DIR", help="a classifier's workdir, as a guide")
    add("--classifier_scale", type=float, metavar="W", help="of its gradient; default: 1")


def sampling_fields(options: argparse.Namespace) -> dict[str, Any]:
    """What the flags of `add_sampling` and --batch say, by field of the config."""
    return {
        "sampling.solver": options.solver,
        # A solver asked for is meant as it is, without what the config corrects its own with.
        "sampling.corrector": options.corrector or ("none" if options.solver else None),
        "sampling.num_steps": options.steps,
        "sampling.grid": options.grid,
        "sampling.rtol": options.rtol,
        "sampling.atol": options.rtol,
        "sampling.guidance": options.guidance,
        "sampling.batch_size": options.batch,
    }


def guide_of(options: argparse.Namespace, trained: "TrainedModel") -> "ClassifierGuide | None":
    """The classifier that guides the model, where one is asked for."""
    from experiments.sampling.classifier_guide import ClassifierGuide

    scale = options.classifier_scale
    if options.classifier is None:
        if scale is not None:
            raise UserError(f"--classifier_scale: got {scale:g}, takes --classifier=DIR as well")
        return None
    return ClassifierGuide.of(options.classifier, 1.0 if scale is None else scale, trained)
