"""The command `sample`."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from experiments.commands.arguments import add_model, new_command, positive
from experiments.commands.opening import open_trained
from experiments.commands.sampling_flags import add_sampling, guide_of, sampling_fields
from experiments.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from experiments.workdir.trained_model import TrainedModel


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    parser = new_command(commands, "sample", _run, "draw samples from a workdir")
    add_model(parser)
    add_sampling(parser)
    parser.add_argument("--num", type=positive, help="number of samples")
    parser.add_argument("--cond", metavar="V,…", help="of a model of vectors: the vector's numbers")
    parser.add_argument(
        "--denoise", action=argparse.BooleanOptionalAction, help="end with the denoiser"
    )
    parser.add_argument("--latents", help="an .npz with `latents` to start from, standard normal")
    parser.add_argument(
        "--interpolate", type=positive, metavar="K", help="rows of K between latents of the seed"
    )
    parser.add_argument(
        "--trajectory", type=positive, metavar="K", help="an animation of K frames as well"
    )
    parser.add_argument(
        "--log_prob", action="store_true", help="with probability_flow: densities of the samples"
    )
    parser.add_argument("--output", help="write OUTPUT.png, .npz and .json, not samples/...")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.display.pictures import provenance
    from experiments.sampling.conditions import condition_of, parse_classes, parse_vector
    from experiments.sampling.draw import draw, with_flags

    trained = open_trained(options, overrides, _given_fields(options), "sampling", "likelihood")
    trained = with_flags(trained, vars(options))
    num, latents = _latents(options, trained)
    guide = guide_of(options, trained)
    labelled = guide.trained if guide and not guide.conditional else trained
    experiment, data = labelled.experiment, labelled.train
    cond = condition_of(
        experiment,
        data,
        num if latents is None else len(latents),
        classes=parse_classes(options.classes, experiment, data),
        vector=parse_vector(options.cond, experiment, data),
        each=options.interpolate or 1,
    )
    drawn = draw(
        trained,
        num=num,
        seed=options.seed,
        about=provenance(sys.argv, options.seed),
        sde=options.sde,
        keep=options.trajectory or 0,
        latents=latents,
        cond=cond,
        class_names=data.class_names,
        guide=guide,
        output=options.output,
        progress=sys.stderr.isatty() and not options.trajectory,
    )
    print(drawn.summary)


def _given_fields(options: argparse.Namespace) -> dict[str, Any]:
    return {
        **sampling_fields(options),
        "sampling.denoise": options.denoise,
        "sampling.num": options.num,
        "sampling.log_prob": options.log_prob or None,
    }


def _latents(
    options: argparse.Namespace, trained: "TrainedModel"
) -> "tuple[int, np.ndarray | None]":
    """How many samples, and their latents where they are not drawn one by one."""
    from experiments.sampling.latents import between, read_latents

    num, shape, given = trained.experiment.sampling.num, trained.train.shape, None
    if options.latents:
        given = read_latents(options.latents, shape)
        if options.num:
            raise UserError("--num: takes no --latents, which say how many")
        num = len(given)
    if options.interpolate:
        given = between(options.seed, num, options.interpolate, shape)
    return num, given
