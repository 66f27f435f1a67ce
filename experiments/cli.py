"""The commands and their arguments.

Arguments are read before JAX is imported by anything that uses it, so that `--help` and a mistyped
flag answer at once, and JAX's devices can still be configured.
"""

import argparse
import logging
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from experiments import export_command, import_command, status_command, train_command
from experiments.errors import UserError

_OVERRIDES = "--config.SECTION.FIELD=VALUE overrides any field of the config."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
      The exit code: 0, or 2 after one line on standard error for bad input.
    """
    # A user's own SDE or network is a module in the folder they stand in.
    sys.path.append(os.getcwd())
    options, overrides = _parser().parse_known_args(arguments)
    if not options.debug:
        # Orbax logs the traceback of every error that it also raises, some by way of asyncio.
        for name in ("absl", "asyncio"):
            logging.getLogger(name).addFilter(_is_worse_than_an_error)
        sys.unraisablehook = _unraisable
    try:
        options.run(options, overrides)
    except (UserError, OSError) as error:
        if options.debug:
            raise
        print(f"scoresde: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scoresde: interrupted", file=sys.stderr)
        return 130
    return 0


def _is_worse_than_an_error(record: logging.LogRecord) -> bool:
    return record.levelno > logging.ERROR


def _unraisable(error: Any) -> None:
    """Python's own report, but for what follows from a failed save that has been reported.

    TensorStore says that nobody waits for the rest of it, a closed file tries once more.
    """
    told = isinstance(error.exc_value, OSError)
    if not told and "Event loop is closed" not in str(error.exc_value):
        sys.__unraisablehook__(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scoresde", description="Score-based generative models by SDEs.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    help_line = "train a model; continues where a run stopped"
    train_command.add_arguments(_command(commands, "train", train_command.run, help_line))

    status_command.add_to(commands)

    sample = _command(commands, "sample", _sample, "draw samples from a workdir")
    _common(sample)
    sample.add_argument("--solver", help="NAME[:field=value,…] of `scoresde solvers`")
    sample.add_argument("--corrector", help="langevin, annealed_langevin or none")
    finer = sample.add_mutually_exclusive_group()
    finer.add_argument("--steps", type=_positive, help="steps of the grid")
    finer.add_argument("--rtol", type=float, help="the tolerance of an adaptive solver")
    sample.add_argument("--grid", help="NAME[:field=value], fitted:NAME, or times in a .npy")
    sample.add_argument("--sde", help="sample under another SDE: NAME[:field=value,…]")
    sample.add_argument("--num", type=_positive, help="number of samples")
    sample.add_argument(
        "--denoise", action=argparse.BooleanOptionalAction, help="end with the denoiser"
    )
    sample.add_argument("--latents", help="an .npz with `latents` to start from, standard normal")
    sample.add_argument(
        "--interpolate", type=_positive, metavar="K", help="rows of K between latents of the seed"
    )
    sample.add_argument(
        "--trajectory", type=_positive, metavar="K", help="an animation of K frames as well"
    )
    sample.add_argument(
        "--log_prob", action="store_true", help="with probability_flow: densities of the samples"
    )
    sample.add_argument("--output", help="write OUTPUT.png and OUTPUT.npz instead of samples/...")

    listed = commands.add_parser("solvers", help="what there is to sample with")
    listed.add_argument("--debug", action="store_true", help="show the traceback of an error")
    listed.set_defaults(run=_solvers)

    fit = _command(commands, "fit_grid", _fit_grid, "fit the times of a solver's steps to a model")
    _common(fit)
    fit.add_argument("--solver", help="a deterministic one of `scoresde solvers`; default adams")
    fit.add_argument("--steps", type=_positive, required=True, help="steps of the grid")
    fit.add_argument("--name", required=True, help="for --grid=fitted:NAME afterwards")

    likelihood = _command(commands, "likelihood", _likelihood, "bits/dim of a split of the data")
    _common(likelihood)
    likelihood.add_argument("--split", help="train or test")
    likelihood.add_argument(
        "--data", help="other examples to score, npz:FILE or folder:DIR; all without --split"
    )
    likelihood.add_argument("--limit", type=_positive, help="only the first LIMIT examples")
    likelihood.add_argument("--estimator", help="ode or elbo")
    likelihood.add_argument("--dequantization", help="uniform or truncated_normal")
    likelihood.add_argument("--repeats", type=_positive, help="draws of it an example")
    likelihood.add_argument("--divergence", help="exact or hutchinson")
    likelihood.add_argument("--probes", type=_positive, help="of hutchinson")
    likelihood.add_argument("--solver", help="adams, bosh3, dopri5 or dop853")
    finer = likelihood.add_mutually_exclusive_group()
    finer.add_argument("--steps", type=_positive, help="this many for every example")
    finer.add_argument("--rtol", type=float, help="steps of each example's own by this tolerance")
    likelihood.add_argument(
        "--check_solver", action="store_true", help="measure the solver's error on a batch"
    )

    import_command.add_to(commands)
    export_command.add_to(commands)

    demo = _command(commands, "demo", _demo, "train on digits, sample, measure: some minutes")
    demo.set_defaults(workdir="runs/demo")
    return parser


def _command(commands: Any, name: str, run: Any, help_line: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=help_line, description=help_line, epilog=_OVERRIDES, allow_abbrev=False
    )
    command.add_argument("--workdir", required=name != "demo", help="the experiment's folder")
    command.add_argument("--devices", type=_positive, help="use the first DEVICES; default all")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(run=run)
    return command


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=0, help="of the random draws; default 0")
    command.add_argument("--batch", type=_positive, help="examples at a time")
    command.add_argument("--raw", action="store_true", help="the parameters, not their average")
    command.add_argument(
        "--ema", dest="raw", action="store_false", help="their average, the default"
    )
    command.add_argument("--average", metavar="NAME", help="another average, as power:0.1")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {value}, takes an integer ≥ 1")
    return value


def _sample(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments import sample as command
    from experiments import sample_command as extra
    from experiments.solver_choice import is_adaptive

    if options.rtol and (options.solver or "").startswith("adaptive_sde"):
        options.solver += f":rtol={options.rtol},atol={options.rtol}"
    chosen = {
        "sampling.solver": options.solver,
        # A solver asked for is meant as it is, without what the config corrects its own with.
        "sampling.corrector": options.corrector or ("none" if options.solver else None),
        "sampling.num_steps": options.steps,
        "sampling.grid": options.grid,
        "sampling.rtol": options.rtol,
        "sampling.atol": options.rtol,
        "sampling.denoise": options.denoise,
        "sampling.num": options.num,
        "sampling.batch_size": options.batch,
        "sampling.log_prob": options.log_prob or None,
    }
    trained = _open(options, overrides, chosen, "sampling", "likelihood")
    experiment, train = trained.experiment, trained.train
    adaptive = is_adaptive(experiment.sampling)
    for name in ("steps", "corrector", "grid", "trajectory") if adaptive else ("rtol",):
        if getattr(options, name):
            kind = "a solver on a grid" if adaptive else "an adaptive solver"
            raise UserError(f"--{name}: takes {kind}, not {experiment.sampling.solver!r}")
    sde, model = extra.under(trained, options.sde)
    words = command.describe(experiment) + (f"-{options.sde}" if options.sde else "")
    output = _output(options, trained, f"{words}-seed{options.seed}")
    latents = None
    if options.latents:
        latents = extra.read_latents(options.latents, train.shape)
    num = experiment.sampling.num if latents is None else len(latents)
    if latents is not None and options.num:
        raise UserError("--num: takes no --latents, which say how many")
    if options.interpolate:
        latents = extra.between(options.seed, num, options.interpolate, train.shape)
    grids = trained.workdir.path / "grids"
    sampler = command.Sampler(experiment, sde, model, train.shape, trained.mesh, grids)
    samples = sampler.draw(
        num,
        options.seed,
        progress=sys.stderr.isatty() and not options.trajectory,
        keep=options.trajectory or 0,
        latents=latents,
    )
    about = extra.about(sys.argv, options.seed)
    command.save(samples, experiment, train, output, about)
    print(command.summary(samples, output))


def _solvers(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.solvers_command import listing

    print(listing())


def _fit_grid(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.fit_grid_command import fit

    chosen = {"sampling.solver": options.solver or "adams", "sampling.num_steps": options.steps}
    chosen["sampling.batch_size"] = options.batch
    print(fit(_open(options, overrides, chosen, "sampling"), options.name, options.seed))


def _likelihood(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments import likelihood_command as command

    chosen = {
        "likelihood.split": options.split,
        "likelihood.estimator": options.estimator,
        "likelihood.dequantization": options.dequantization,
        "likelihood.repeats": options.repeats,
        "likelihood.divergence": options.divergence,
        "likelihood.probes": options.probes,
        "likelihood.solver": options.solver,
        # A tolerance asked for takes the place of a number of steps in the config.
        "likelihood.num_steps": 0 if options.rtol else options.steps,
        "likelihood.rtol": options.rtol,
        "likelihood.atol": options.rtol,
        "likelihood.check_solver": options.check_solver or None,
        "likelihood.batch_size": options.batch,
    }
    trained = _open(options, overrides, chosen, "likelihood")
    dataset = trained.examples(options.data, options.split)
    print(command.measure(trained, dataset, seed=options.seed, limit=options.limit)[0])


def _demo(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.demo import demo

    demo(options.workdir, options.devices, overrides)


def _open(
    options: argparse.Namespace, overrides: list[str], chosen: dict[str, Any], *sections: str
) -> Any:
    """The trained model of the workdir, with flags and overrides of the sections applied."""
    from experiments import devices
    from experiments.trained import Trained

    devices.start()
    given = [f"--config.{path}={value}" for path, value in chosen.items() if value is not None]
    for argument in overrides:
        takes = tuple(f"--config.{section}." for section in sections)
        if argument.startswith("--config.") and not argument.startswith(takes):
            raise UserError(
                f"{argument}: {options.command} takes {' and '.join(f'{t}*' for t in takes)}; "
                "the rest is the workdir's"
            )
    return Trained.open(
        options.workdir,
        overrides + given,
        devices.make_mesh(options.devices),
        raw=options.raw,
        average=options.average,
        divergence=options.command == "likelihood",
    )


def _output(options: argparse.Namespace, trained: Any, name: str) -> pathlib.Path:
    """Where to write, without suffix; a file that was named by hand is never overwritten."""
    if options.output is None:
        return trained.workdir.folder("samples") / f"step{trained.step}-{name}"
    from experiments.sample import outputs

    output = pathlib.Path(options.output)
    for path in outputs(output):
        if path.exists():
            raise UserError(f"--output: {path} exists, takes a new name")
    output.parent.mkdir(parents=True, exist_ok=True)
    return output
