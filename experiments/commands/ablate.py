"""The command `ablate`."""

import argparse
import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any

from experiments.commands.arguments import (
    add_config,
    add_devices,
    add_workdir,
    new_command,
    positive,
)
from experiments.errors import UserError
from experiments.paths import expand

if TYPE_CHECKING:
    from experiments.ablation.ablate import Ablation
    from experiments.ablation.question import Question


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    help_line = "train, sample and measure over axes and seeds; compare in a table"
    parser = new_command(commands, "ablate", _run, help_line)
    add_workdir(parser)
    add_config(parser)
    add_devices(parser)
    add = parser.add_argument
    add("--model", metavar="DIR", help="vary sampling or likelihood of a trained workdir")
    add("--spec", metavar="FILE", help="a .toml that says what these flags say")
    asked = parser.add_argument_group("the question (docs/ablate.md)")
    add = asked.add_argument
    add("--over", action="append", metavar="FIELD=V,…", help="an axis: values, or 1e-4..1e-2:log:5")
    add("--zip", action="append", metavar="FIELD,FIELD", help="axes that vary together")
    add("--one_at_a_time", action="store_true", default=None, help="first values, single changes")
    add("--random", type=positive, metavar="N", help="N draws from the axes, not all combinations")
    add("--study", type=positive, metavar="N", help="N trials that Optuna asks for (extra search)")
    add("--seeds", type=positive, metavar="N", help="seeds of each cell; default: 1")
    add("--seed", type=int, metavar="N", help="the first seed; default: the config's")
    add("--metrics", metavar="NAME,…", help="bpd, error, nfe, loss, seconds, or of `evaluate`")
    add("--features", metavar="NAME", help="of metrics that compare features")
    add("--num", type=positive, metavar="N", help="number of samples of each cell")
    add("--limit", type=positive, metavar="N", help="bits/dim of the first N examples only")
    running = parser.add_argument_group("running")
    add = running.add_argument
    add("--plan", action="store_true", help="show the cells and what they will cost; run nothing")
    add("--jobs", type=positive, metavar="N", help="run in N processes")
    add("--retry", action="store_true", help="run cells that failed again")
    add("--cell", metavar="HASH", help="run one cell")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    add("--print_commands", action="store_true", help="a command for each cell; run nothing")
    add("--slurm", metavar="FILE", help="write a Slurm array of the cells; run nothing")
    add("--sbatch", action="append", metavar="KEY=VALUE", help="an option of the array; repeated")


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.ablation.ablate import Ablation
    from experiments.runtime import devices

    if options.sbatch and not options.slurm:
        raise UserError("--sbatch: takes --slurm=FILE as well")
    if options.slurm and expand(options.slurm).is_dir():
        raise UserError(f"--slurm: got {options.slurm}, a folder; takes a name for a file")
    if options.cell and options.jobs:
        raise UserError(f"--cell: got {options.cell}, takes no --jobs, which runs all cells")
    question = _question(options, overrides)
    if options.jobs and options.jobs > 1:
        # This process computes next to nothing, and leaves a GPU's memory to the others.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    devices.start()
    ablation = Ablation.of(options.workdir, question, devices.make_mesh(options.devices))
    if ablation.study is not None:
        _check_study(ablation, options)
    if question is not None and ablation.note:
        print(ablation.note, file=sys.stderr)
    if options.plan:
        print(ablation.plan())
        return
    ablation.asked_for(options.cell)
    if question is not None:
        ablation.begin(sys.argv)
    if options.print_commands:
        print("\n".join(ablation.commands(retry=options.retry)))
    elif options.slurm:
        print(ablation.write_slurm(options.slurm, options.sbatch or [], retry=options.retry))
    elif _has_run(ablation, options):
        _finish(ablation, options)


def _check_study(ablation: "Ablation", options: argparse.Namespace) -> None:
    """Raises UserError for flags that take all cells to be known, or more than there are."""
    for name in ("print_commands", "slurm", "cell"):
        if getattr(options, name):
            raise UserError(f"--{name}: takes no --study, whose cells follow from results")
    if options.jobs and options.jobs > ablation.question.seeds:
        seeds = ablation.question.seeds
        raise UserError(f"--jobs: got {options.jobs}, takes at most --seeds={seeds} with --study")


def _has_run(ablation: "Ablation", options: argparse.Namespace) -> bool:
    """Run what is left; whether nothing has stopped it."""
    from experiments.ablation.run import run_jobs
    from experiments.ablation.run_cell import StoppedError
    from experiments.display.pictures import provenance

    ablation.folder.check()
    if options.jobs and options.jobs > 1:
        flags = [f"--devices={options.devices}"] if options.devices else []
        flags += ["--retry"] * options.retry
        return run_jobs(
            ["ablate", f"--workdir={options.workdir}", "--worker", *flags], options.jobs
        )
    about = provenance(sys.argv, 0)
    try:
        ablation.run(about, cell=options.cell, retry=options.retry, debug=options.debug)
    except StoppedError as stopped:
        print(stopped)
        return False
    return True


def _finish(ablation: "Ablation", options: argparse.Namespace) -> None:
    """Write the tables and, once no cell is left, the report; say what has failed."""
    from experiments.ablation.ablate import Ablation
    from experiments.ablation.locks import waiting
    from experiments.report.page import write_report

    if options.worker:
        return
    if options.jobs and ablation.study is not None:
        # The processes have asked for its cells, and this one has not.
        ablation = Ablation.of(options.workdir, None, ablation.mesh)
    # Tasks of an array may end together.
    with waiting(ablation.folder.lock("tables")):
        print(ablation.finish())
        if not ablation.left():
            print(write_report(ablation.folder.path))
    ablation.check_failed(options.cell)


def _question(options: argparse.Namespace, overrides: list[str]) -> "Question | None":
    """What the flags ask; None where they ask nothing.

    It is on top of what a file asks, or, where they do not say where to begin, the folder.

    Raises:
      UserError: a flag that contradicts the file, or a wrong one.
    """
    from experiments.ablation import record, spec
    from experiments.ablation.folder import AblationFolder
    from experiments.ablation.question import CONFIG, Axis, Question, as_overrides, with_axes
    from experiments.config_schema.choice import split_choices

    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(Question)
        if getattr(options, field.name, None) is not None
    }
    if "over" in given:
        given["over"] = tuple(map(Axis.parse, given["over"]))
    if "zip" in given:
        given["zip"] = tuple(split_choices(text, "--zip") for text in given["zip"])
    if overrides:
        given["overrides"] = as_overrides(overrides)
    folder = AblationFolder.of(options.workdir)
    begins = {"config", "model"} & set(given) or CONFIG in [a.field for a in given.get("over", ())]
    if options.spec is not None:
        asked = spec.read(expand(options.spec))
    elif given and not begins and folder.is_there:
        asked = record.asked(folder)
    else:
        return Question(**given) if given else None
    given["over"] = with_axes(asked.over, given.get("over", ()))
    given["zip"] = asked.zip + given.get("zip", ())
    given["overrides"] = as_overrides([*asked.overrides, *overrides])
    return dataclasses.replace(asked, **given)
