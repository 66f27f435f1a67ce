"""The command `train`."""

import argparse
import math
from typing import Any

from experiments.commands.arguments import add_config, add_devices, add_workdir, new_command
from experiments.errors import UserError
from experiments.paths import command


def add_to(commands: Any) -> None:
    """Add the command to the parser of the command line."""
    train = new_command(commands, "train", _run, "train a model; continues where a run stopped")
    add_workdir(train)
    add_devices(train)
    add_config(train, required=True)
    add = train.add_argument
    add("--init_from", metavar="DIR", help="start from the average of another workdir")
    accept = "go on though FIELD has a new value; may be repeated"
    add("--accept", action="append", default=[], metavar="FIELD", help=accept)
    add("--deterministic", action="store_true", help="repeat GPU operations bit for bit")
    add("--fsdp", type=int, default=1, metavar="N", help="share the parameters among N devices")
    shows = "show which device has which parameters"
    add("--explain_sharding", "--explain-sharding", action="store_true", help=shows)
    many = train.add_argument_group("many processes (docs/clusters.md)")
    add = many.add_argument
    add("--distributed", action="store_true", help="connect as the cluster says")
    add("--coordinator", metavar="HOST:PORT", help="address of process 0")
    add("--num_processes", type=int, metavar="N", help="number of processes")
    add("--process_id", type=int, metavar="N", help="which of them this is, from 0")
    add("--wait", type=_seconds, default=120.0, metavar="SECONDS", help="time for them to meet")


def _seconds(text: str) -> float:
    """A time to wait, for `type`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < 2**31:
        raise argparse.ArgumentTypeError(f"got {text}, takes seconds above 0 and below 2^31")
    return seconds


def _run(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.runtime import devices, processes

    if options.fsdp < 1:
        raise UserError(f"--fsdp: got {options.fsdp}, takes an integer ≥ 1")
    given = [options.coordinator, options.num_processes, options.process_id]
    many = options.distributed or any(value is not None for value in given)
    devices.start(deterministic=options.deterministic, connects=many)
    if many:
        processes.connect(
            options.coordinator, options.num_processes, options.process_id, options.wait
        )
        if options.devices:
            raise UserError("--devices: not with many processes, which take all of theirs")
    try:
        _train(options, overrides)
    except processes.AgreedError:
        raise
    except (UserError, OSError) as error:
        if not many or options.debug:
            raise
        processes.exit_process(error)


def _train(options: argparse.Namespace, overrides: list[str]) -> None:
    from experiments.config_schema.flags import load_experiment
    from experiments.runtime import devices, processes
    from experiments.training.train import train
    from experiments.workdir.folder import Workdir

    if options.init_from:
        overrides = [*overrides, f"--config.training.init_from={options.init_from}"]
    experiment = processes.run_on_all(lambda: load_experiment(options.config, overrides))
    mesh = processes.run_on_all(lambda: devices.make_mesh(options.devices, options.fsdp))
    facts = {"--fsdp": options.fsdp, "--deterministic": options.deterministic}
    processes.check_same(facts)
    workdir = Workdir(options.workdir)
    ended = train(
        experiment,
        workdir,
        mesh,
        accept=options.accept,
        explain_sharding=options.explain_sharding,
    )
    if processes.is_first():
        guides = experiment.training.objective == "classifier"
        step = int(ended.state.step)
        print(_summary(step, workdir, guides) if ended.finished else ended.stopped)


def _summary(step: int, workdir: Any, guides: bool = False) -> str:
    used = ["--workdir=MODEL", f"--classifier={workdir.path}"]
    return (
        f"trained {step} steps: {workdir.checkpoints}, {workdir.metrics}\n"
        f"next: {command('sample', *(used if guides else [f'--workdir={workdir.path}']))}"
    )
