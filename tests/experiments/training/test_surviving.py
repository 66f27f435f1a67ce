"""Runs that are stopped, killed, damaged or fed bad data, and that go on all the same."""

import dataclasses
import fcntl
import gc
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import zlib

import jax
import numpy as np
import pytest

from experiments.cli import main
from experiments.config_schema.resolve import resolve
from experiments.data import Split
from experiments.runtime import compile_cache
from experiments.runtime.devices import make_mesh
from experiments.training.input_pipeline import OnDevice, Streaming
from experiments.workdir.folder import Workdir
from experiments.workdir.restored_run import restore
from experiments.workdir.trained_model import TrainedModel
from tests.cases import takes_devices
from tests.experiments.conftest import TOY, metrics_of, state_of, train


def same(ours, theirs):
    """The states and the metrics, to the bit."""
    for a, b in zip(state_of(ours), state_of(theirs), strict=True):
        np.testing.assert_array_equal(a, b)
    assert metrics_of(ours) == metrics_of(theirs)


def stop_before(monkeypatch, call, number, pipeline=OnDevice):
    """A signal to this process before the call-th batch is read."""
    read, calls = pipeline.read, []

    def reading(self, count):
        calls.append(count)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return read(self, count)

    monkeypatch.setattr(pipeline, "read", reading)


def test_a_signal_saves_and_the_same_command_goes_on(trained, tmp_path, monkeypatch, capsys):
    """SIGTERM, in the middle between two lines of metrics, whose sums are part of the state; then
    Ctrl-C.
    """
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for call, number, step in ((3, signal.SIGTERM, 3), (2, signal.SIGINT, 5)):
        with monkeypatch.context() as patched:
            stop_before(patched, call, number)
            assert train(tmp_path / "run") == 0
        said = f"stopped and saved at step {step}; the same command goes on"
        assert said in capsys.readouterr().out
        # By then the thread that listens has ended too.
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
        assert signal.set_wakeup_fd(-1) == -1
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [2, 4]
    assert train(tmp_path / "run") == 0
    same(tmp_path / "run", trained)


BUSY = """
import hashlib, sys
from experiments.runtime.stopping import Stop
with Stop() as stop:
    if sys.argv[1] == "updated":
        stop.must_save()
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes, in C, as XLA compiles
"""


def test_a_signal_ends_what_does_not_come_back():
    """At once where nothing is to be saved, else the second one."""
    for name, numbers, said in (
        ("new", [signal.SIGTERM], ["ended by SIGTERM; nothing is lost"]),
        (
            "updated",
            [signal.SIGTERM, signal.SIGINT],
            [
                "stopping after this step, to save; once more ends the run at once",
                "ended by SIGINT; the updates since the last checkpoint are lost",
            ],
        ),
    ):
        root = pathlib.Path(__file__).parents[3]
        command = [sys.executable, "-c", BUSY, name]
        with subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "busy\n"
            for number, line in zip(numbers, said, strict=True):
                process.send_signal(number)
                assert process.stderr.readline() == f"scoresde: {line}\n"
            assert process.wait(timeout=10) == 128 + numbers[-1]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "6"
    for file in newest.rglob("d/*"):
        file.write_bytes(file.read_bytes()[:10])
    assert train(tmp_path / "run") == 0
    captured = capsys.readouterr()
    assert f"{newest}: the checkpoint cannot be read" in captured.err
    assert "resuming" in captured.out
    assert "at step 4" in captured.out
    assert newest.with_name("6.broken").is_dir()
    same(tmp_path / "run", trained)


def test_no_checkpoint_that_can_be_read(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    for file in (tmp_path / "run" / "checkpoints").rglob("d/*"):
        file.write_bytes(b"")
    assert main(["sample", f"--workdir={tmp_path / 'run'}", "--devices=1"]) == 2
    assert "checkpoints/4: the checkpoint cannot be read" in capsys.readouterr().err


def test_a_start_that_was_killed_at_once_leaves_no_trace(trained, tmp_path):
    (tmp_path / "run").mkdir()
    for name in (".lock", "config.json.partial"):
        (tmp_path / "run" / name).write_text("", encoding="utf-8")
    assert train(tmp_path / "run") == 0
    same(tmp_path / "run", trained)


CHANGED = ["--config.training.num_steps=8", "--config.training.batch_size=8"]
"""Fields of which a run may always change the first, and the second where it is accepted."""


def test_a_config_that_nothing_follows_from_may_change(trained, tmp_path):
    """The first launch ran out of memory, say: there is no checkpoint yet."""
    shutil.copytree(trained, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert train(tmp_path / "run", *CHANGED) == 0
    assert resolve(Workdir(tmp_path / "run").load()).training.batch_size == 8


def test_a_changed_field_is_refused_or_accepted_by_name(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    assert train(tmp_path / "run", *CHANGED) == 2
    assert "--accept=training.batch_size" in capsys.readouterr().err
    assert train(tmp_path / "run", *CHANGED, "--accept=training.batch_siz") == 2
    assert "'training.batch_size'" in capsys.readouterr().err
    assert train(tmp_path / "run", *CHANGED, "--accept=training.batch_size") == 0
    assert resolve(Workdir(tmp_path / "run").load()).training.batch_size == 8


def test_accepting_another_network_changes_nothing(trained, tmp_path, capsys):
    """Also one whose parameters are all in the checkpoint, among others."""
    shutil.copytree(trained, tmp_path / "run")
    for hidden in ("(8,8)", "(16,)", "(16,16,16)"):
        other = [f"--config.model.hidden={hidden}", "--accept=model.hidden"]
        assert train(tmp_path / "run", *other) == 2
        gc.collect()  # of what Orbax has left unread Python would warn here
        line = capsys.readouterr().err
        assert "holds the parameters of another network" in line
        assert line.count("\n") == 1
    assert resolve(Workdir(tmp_path / "run").load()).model.hidden == (16, 16)
    assert train(tmp_path / "run") == 0


def test_accepting_other_averages_and_another_optimizer_keeps_the_rest(trained, tmp_path, capsys):
    """What is new begins at the parameters as they are; the learning rate goes on."""
    shutil.copytree(trained, tmp_path / "run")
    still = ["--config.training.learning_rate=1e-30", "--config.training.num_steps=7"]
    other = ["--config.training.optimizer=lion", "--config.training.averages=('0.5',)"]
    accepted = ["optimizer", "averages", "learning_rate"]
    accept = [f"--accept=training.{name}" for name in accepted]
    before = restored(trained)
    assert train(tmp_path / "run", *still, *other, *accept) == 0
    assert "at step 6; new there: opt_state, average 0.5" in capsys.readouterr().out
    after = restored(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, after.params, before.params)
    jax.tree.map(np.testing.assert_array_equal, after.averages["0.5"], after.params)
    # r = 9/(9 + 7) of eq. 2 of `averages`: a rounding of each of three operations, below 4 ulps.
    old, params = before.averages["0.999"], before.params
    expected = jax.tree.map(lambda a, p: a + np.float32(9 / 16) * (p - a), old, params)
    jax.tree.map(
        lambda a, e, p: np.testing.assert_allclose(
            a, e, rtol=0, atol=2**-21 * max(abs(p).max(), abs(e).max())
        ),
        after.averages["0.999"],
        expected,
        params,
    )
    counts = [leaf for leaf in jax.tree.leaves(after.opt_state) if leaf.ndim == 0]
    assert [int(count) for count in counts] == [1, 7]
    # The command goes on, and so does what is made of the averages.
    assert train(tmp_path / "run", *still, *other) == 0
    assert TrainedModel.open(tmp_path / "run", [], make_mesh(1), average="0.5").step == 7


def restored(workdir):
    """The newest state in NumPy, as the workdir's config has it."""
    state = restore(Workdir(workdir), resolve(Workdir(workdir).load()), (2,), make_mesh(1))
    return jax.device_get(dataclasses.replace(state, key=None))


def test_an_average_that_no_checkpoint_has_is_no_model(trained, tmp_path, capsys):
    """A run that was killed before its first checkpoint under the new fields."""
    shutil.copytree(trained, tmp_path / "run")
    workdir = Workdir(tmp_path / "run")
    experiment = resolve(workdir.load())
    kept = dataclasses.replace(experiment.training, averages=("0.5",))
    workdir.record(dataclasses.replace(experiment, training=kept))
    TrainedModel.open(workdir.path, [], make_mesh(1))
    command = ["sample", f"--workdir={workdir.path}", "--average=0.5", "--devices=1"]
    assert main(command) == 2
    assert (
        "--average: got 0.5, which begins after the checkpoint of step 6" in capsys.readouterr().err
    )


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """The workdir of a run of several averages and many checkpoints. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "averaged"
    more = ["--config.training.averages=('half_life:0.2','power:0.1')"]
    more += ["--config.training.optimizer=muon", "--config.training.adaptive_weighting=True"]
    more += ["--config.training.keep=1", "--config.training.keep_every=4"]
    assert train(workdir, *more, "--config.training.save_every=2") == 0
    return workdir


def test_every_nth_checkpoint_stays(averaged):
    assert sorted(int(p.name) for p in (averaged / "checkpoints").iterdir()) == [4, 6]


def test_a_live_run_keeps_its_folder(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    config = (tmp_path / "run" / "config.json").stat().st_mtime_ns
    with (tmp_path / "run" / ".lock").open("w", encoding="utf-8") as lock:
        lock.write("process 7 on there")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert train(tmp_path / "run", "--config.training.log_every=1") == 2
    assert "in use by a run (process 7 on there)" in capsys.readouterr().err
    assert (tmp_path / "run" / "config.json").stat().st_mtime_ns == config


def test_a_run_may_start_from_another(trained, tmp_path, capsys):
    """From its averages: with a learning rate of almost 0 they stay."""
    still = ["--config.training.learning_rate=1e-30", f"--init_from={trained}"]
    assert train(tmp_path / "run", *still) == 0
    ours, theirs = (TrainedModel.open(p, [], make_mesh(1)) for p in (tmp_path / "run", trained))
    jax.tree.map(np.testing.assert_array_equal, ours.model.params, theirs.model.params)
    # Killed before its first checkpoint: it begins there again.
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert train(tmp_path / "run", *still) == 0
    again = TrainedModel.open(tmp_path / "run", [], make_mesh(1))
    jax.tree.map(np.testing.assert_array_equal, again.model.params, theirs.model.params)
    other = [*still, "--config.model.hidden=(8,8)"]
    assert train(tmp_path / "other", *other) == 2
    assert "training.init_from" in capsys.readouterr().err


def bad_row(request):
    """Points, one of which is not a number."""
    values = np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32)
    values[3] = np.nan
    return Split.of(values)


def test_an_update_without_a_finite_gradient_is_skipped(tmp_path, capsys):
    """One batch of two has the bad row: nothing but the step moves."""
    source = f"--config.data.source={bad_row.__module__}:bad_row"
    extra = [source, "--config.training.num_steps=8", "--config.training.log_every=1"]
    assert train(tmp_path / "run", *extra, "--config.training.max_skipped=3") == 0
    lines = metrics_of(tmp_path / "run")
    skipped = [line["skipped"] for line in lines]
    assert sum(skipped) == 4
    for line in lines:
        assert (line["loss"] is None) == bool(line["skipped"])
    assert all(np.isfinite(leaf).all() for leaf in state_of(tmp_path / "run"))
    norms = [line["param_norm"] for line in lines]
    moved = [a != b for a, b in itertools.pairwise(norms)]
    assert moved == [not s for s in skipped[1:]]


def test_too_many_skipped_updates_stop_the_run(tmp_path, capsys):
    arguments = ["--config.training.learning_rate=1e30", "--config.training.num_steps=8"]
    arguments += ["--config.training.warmup=9", "--config.training.max_skipped=3"]
    assert train(tmp_path / "run", *arguments) == 2
    said = capsys.readouterr()
    assert "training.warmup 9 is more than training.num_steps 8" in said.out
    error = said.err.splitlines()[-1]
    assert "4 updates in a row before step 4 had no finite loss" in error
    assert "training.learning_rate" in error


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--devices=4", "--fsdp=2"], marks=takes_devices(4)),
        pytest.param(
            ["--devices=4", "--fsdp=4", "--config.training.accumulate=2"], marks=takes_devices(4)
        ),
    ],
)
def test_the_loss_is_the_same_however_the_work_is_split(trained, tmp_path, arguments, monkeypatch):
    monkeypatch.setattr("experiments.runtime.sharding.MIN_SIZE", 1)
    assert train(tmp_path / "run", *arguments) == 0
    ours, theirs = metrics_of(tmp_path / "run"), metrics_of(trained)
    # Sums over the batch in another order: float32 rounding, 1e-7, grown over six steps of Adam.
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(
            [line[name] for line in ours], [line[name] for line in theirs], rtol=1e-5
        )


def test_streamed_data_is_the_same_data(trained, tmp_path):
    assert train(tmp_path / "run", "--config.data.stream=True") == 0
    same(tmp_path / "run", trained)


@pytest.mark.parametrize("source", ["toy:moons", "toy:regression"])
def test_conditions_are_the_same_streamed_and_when_a_run_goes_on(source, tmp_path, monkeypatch):
    """Labels and vectors, of data on the device and of a stream that was stopped in between."""
    fields = [f"--config.data.source={source}", "--config.model.conditional=True"]
    assert train(tmp_path / "whole", *fields) == 0
    with monkeypatch.context() as patched:
        stop_before(patched, 3, signal.SIGTERM, Streaming)
        assert train(tmp_path / "run", *fields, "--config.data.stream=True") == 0
    assert len(metrics_of(tmp_path / "run")) < len(metrics_of(tmp_path / "whole"))
    assert train(tmp_path / "run", *fields, "--config.data.stream=True") == 0
    same(tmp_path / "run", tmp_path / "whole")


@takes_devices(4)
def test_labels_stay_with_their_examples_however_the_work_is_split(tmp_path):
    """On four devices that share the parameters, in two parts of a batch; as on one."""
    fields = ["--config.data.source=toy:moons", "--config.model.conditional=True"]
    split = ["--devices=4", "--fsdp=2", "--config.training.accumulate=2"]
    for name, more in (("one", []), ("split", split)):
        assert train(tmp_path / name, *fields, *more) == 0
    ours, theirs = metrics_of(tmp_path / "split"), metrics_of(tmp_path / "one")
    # As above: roundings of sums in another order.
    losses = [[line["loss"] for line in lines] for lines in (ours, theirs)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@takes_devices(4)
def test_parameters_lie_where_the_table_says(tmp_path, capsys):
    hidden = "--config.model.hidden=(64,64)"
    assert train(tmp_path / "run", hidden, "--devices=4", "--fsdp=2", "--explain-sharding") == 0
    lines = capsys.readouterr().out.splitlines()
    (kernel,) = (line for line in lines if line.startswith("dense_1/kernel"))
    assert kernel.split("  ")[-1].strip() == f"{64 * 32 * 4:,}"
    experiment = resolve(Workdir(tmp_path / "run").load())
    state = restore(Workdir(tmp_path / "run"), experiment, (2,), make_mesh(4, 2))
    for tree in (state.params, *state.averages.values()):
        assert tree["dense_1"]["kernel"].addressable_shards[0].data.shape == (64, 32)


def test_averages_by_name_and_of_any_width(averaged, capsys):
    names = [None, "half_life:0.2", "power:0.1", "power:0.11"]
    params = [
        jax.tree.leaves(TrainedModel.open(averaged, [], make_mesh(1), average=n).model.params)
        for n in names
    ]
    for one, other in itertools.pairwise(params):
        assert any(np.any(a != b) for a, b in zip(one, other, strict=True))
    command = ["sample", f"--workdir={averaged}", "--average=half_lif:0.2"]
    assert main(command) == 2
    assert "'half_life:0.2'" in capsys.readouterr().err


def test_cut_entries_of_the_compilation_cache_are_removed(tmp_path):
    whole = zlib.compress(bytes(1000))
    (tmp_path / "a-cache").write_bytes(whole)
    (tmp_path / "b-cache").write_bytes(whole[:-3])
    (tmp_path / "c-cache").write_bytes(b"")
    assert sorted(compile_cache.repair(tmp_path)) == ["b-cache", "c-cache"]
    assert compile_cache.repair(tmp_path) == []
    assert (tmp_path / "a-cache").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["--fsdp=3", "--devices=4"], ["--fsdp", "got 3", "4 devices"], marks=takes_devices(4)
        ),
        (["--config.training.accumulate=3"], ["training.batch_size", "3 parts"]),
        (["--config.training.averages=('power:2',)"], ["training.averages", "power:2"]),
        (["--config.training.optimizer=adm"], ["training.optimizer", "'adam'"]),
        (["--config.data.crop=left"], ["data.crop", "'left'"]),
        (["--config.data.crop=random"], ["data.crop", "'random'", "toy:moons"]),
        (["--coordinator=localhost:1"], ["--num_processes", "not given"]),
        (
            ["--coordinator=localhost:1", "--num_processes=2", "--process_id=1", "--wait=0.1"],
            ["localhost:1", "did not answer"],
        ),
        (["--init_from=nowhere"], ["training.init_from", "nowhere", "no experiment"]),
    ],
)
def test_refused(arguments, words, tmp_path, capsys):
    assert main(["train", *TOY, f"--workdir={tmp_path / 'run'}", *arguments]) == 2
    line = capsys.readouterr().err
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()
