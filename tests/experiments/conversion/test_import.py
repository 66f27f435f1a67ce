"""`import` and `export`: the workdirs and files that they make, and what they refuse."""

import json
import shutil
import sys
import types
from typing import Any

import jax
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from experiments.builders.model import build_network
from experiments.cli import main
from experiments.conversion.imported import Imported
from experiments.conversion.score_sde.layout import our_shapes
from experiments.errors import UserError
from experiments.runtime import devices
from experiments.state.checkpoints import Checkpoints
from experiments.state.trees import flatten, unflatten
from experiments.workdir.data_spec import DataSpec
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel
from models import NCSNpp
from tests.experiments.conftest import DIGITS, metrics_of, refused, train
from tests.experiments.conversion.published import checkpoint, listed, save

FLAT = {"nf": 8, "ch_mult": (1,), "num_res_blocks": 1, "attn_resolutions": ()}
TRAINS = [argument for argument in DIGITS if argument != "--devices=1"]


def opened(workdir, **which) -> TrainedModel:
    return TrainedModel.open(workdir, [], devices.make_mesh(1), **which)


def params_of(workdir, **which) -> dict[str, np.ndarray]:
    return {k: np.asarray(v) for k, v in flatten(opened(workdir, **which).model.params).items()}


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.fixture
def published(tmp_path):
    """A published checkpoint of 8 × 8 grey images."""
    content = checkpoint(listed(FLAT, channels=1))
    file = tmp_path / "checkpoint.pth"
    save(file, content)
    return content, ["import", "--from=score_sde_pytorch", str(file), "--config=cifar10:vp"]


def test_a_published_checkpoint_becomes_a_workdir(published, tmp_path, capsys):
    content, command = published
    workdir = tmp_path / "runs" / "imported"
    options = [*TRAINS, "--config.data.source=digits", f"--workdir={workdir}"]
    assert main([*command, *options]) == 0
    said = capsys.readouterr().out
    assert "of step 5" in said
    assert "8 × 8 × 1" in said
    assert "the optimizer starts afresh" in said
    raw, averaged = params_of(workdir, raw=True), params_of(workdir)
    name = "module.all_modules.2.weight"  # the first convolution
    moved = np.einsum("oihw->hwio", content["model"][name])
    np.testing.assert_array_equal(raw["conv_in/kernel"], moved)
    moved = np.einsum("oihw->hwio", content["ema"]["shadow_params"][4])
    np.testing.assert_array_equal(averaged["conv_in/kernel"], moved)
    facts = Workdir(workdir).data_spec
    assert (facts.shape, facts.levels, facts.num, facts.num_classes) == ((8, 8, 1), 17, 1437, 10)
    assert [path.name for path in workdir.parent.iterdir()] == ["imported"]


def test_attention_and_convolutions_follow_the_platform(published, tmp_path, monkeypatch):
    """And have derivatives forwards where a divergence is needed."""
    _, command = published
    options = [*TRAINS, "--config.data.source=digits", f"--workdir={tmp_path / 'run'}"]
    assert main([*command, *options, "--config.model.attention=cudnn"]) == 0
    config = opened(tmp_path / "run").experiment.model
    assert (config.attention, config.convolution) == ("cudnn", None)

    def kinds(**fields):
        network = build_network(config, **fields)
        return network.attention, network.convolution

    assert kinds(training=True) == ("xla", "winograd_vjp")
    assert kinds() == kinds(divergence=True) == ("xla", "winograd")
    assert opened(tmp_path / "run").model.network.convolution == "winograd"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert kinds() == kinds(training=True) == ("cudnn", "xla")
    assert kinds(divergence=True) == ("xla", "xla")


def test_sampling_takes_no_data_and_likelihood_says_what_is_missing(published, tmp_path, capsys):
    _, command = published
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), "uint8")
    np.savez(tmp_path / "images.npz", images=images)
    workdir, source = tmp_path / "run", tmp_path / "images.npz"
    options = [*TRAINS, f"--config.data.source=npz:{source}", f"--workdir={workdir}"]
    assert main([*command, *options]) == 0
    assert "not here" not in capsys.readouterr().out
    facts, place = Workdir(workdir).data_spec, f"npz:{source}"
    assert (facts.shape, facts.levels, facts.num, facts.place) == ((8, 8, 1), 256, 18, place)
    source.rename(tmp_path / "others.npz")
    sample = ["sample", f"--workdir={workdir}", "--num=4", "--batch=8", "--steps=2", "--no-denoise"]
    assert main([*sample, f"--output={tmp_path / 'drawn'}"]) == 0
    assert np.load(tmp_path / "drawn.npz")["images"].shape == (4, 8, 8, 1)
    capsys.readouterr()
    line = refused(["likelihood", f"--workdir={workdir}"], capsys)
    assert "images.npz" in line
    # Other images can be measured, if no control variate is fitted to those that are missing.
    others = ["likelihood", f"--workdir={workdir}", f"--data=npz:{tmp_path / 'others.npz'}"]
    line = refused(others, capsys)
    assert "images.npz" in line
    assert "--config.likelihood.control=False" in line


def test_a_shape_that_only_the_file_tells(published, tmp_path, capsys):
    """The data are of another shape, or not here: the workdir samples, and says so."""
    _, command = published
    np.savez(tmp_path / "colour.npz", images=np.zeros((9, 8, 8, 3), "uint8"))
    for name, words in {"colour": "shape (8, 8, 3), not (8, 8, 1)", "none": "none.npz"}.items():
        workdir, source = tmp_path / name, f"npz:{tmp_path / name}.npz"
        options = [*TRAINS, "--config.data.image_size=8", f"--config.data.source={source}"]
        assert main([*command, *options, f"--workdir={workdir}"]) == 0
        assert words in capsys.readouterr().out
        assert Workdir(workdir).data_spec == DataSpec(shape=(8, 8, 1), levels=256, place=source)


def test_a_run_remembers_its_data_and_one_without_memory_opens_them(trained, tmp_path):
    facts = Workdir(trained).data_spec
    assert facts == DataSpec.of(opened(trained).train)
    assert facts.shape == (2,)
    assert facts.num == len(opened(trained).dataset("train").values)
    shutil.copytree(trained, tmp_path / "old")
    (tmp_path / "old" / "data.json").unlink()
    train = opened(tmp_path / "old").train
    assert DataSpec.of(train) == facts
    points = train.read(np.arange(5)).values
    np.testing.assert_array_equal(opened(trained).train.read(np.arange(5)).values, points)
    np.testing.assert_array_equal(opened(trained).train.load().values, train.values)
    (tmp_path / "old" / "data.json").write_text('{"levels": 3}', encoding="utf-8")
    with pytest.raises(UserError, match=r"data\.json: holds no facts"):
        opened(tmp_path / "old")


def test_points_are_drawn_without_their_data(trained, tmp_path):
    """Beneath the samples of a plane are examples, if they are there."""
    shutil.copytree(trained, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    config["data"]["source"] = "nowhere:points"
    (tmp_path / "run" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    out = tmp_path / "drawn"
    command = ["sample", f"--workdir={tmp_path / 'run'}", "--num=8", "--batch=8"]
    assert main([*command, f"--output={out}"]) == 0
    assert np.load(f"{out}.npz")["points"].shape == (8, 2)


@pytest.mark.parametrize("which", ["raw", "ema"])
def test_what_was_exported_comes_back_bit_for_bit(which, trained, tmp_path, capsys):
    file, workdir = tmp_path / "sub" / "toy.safetensors", tmp_path / "again"
    assert main(["export", f"--workdir={trained}", f"--output={file}", f"--{which}"]) == 0
    assert str(file) in capsys.readouterr().out
    assert list(file.parent.iterdir()) == [file]
    theirs = params_of(trained, raw=which == "raw")
    assert_same(safetensors.numpy.load_file(file), theirs)
    with safetensors.safe_open(file, framework="numpy") as opened_file:
        metadata = opened_file.metadata()
    assert metadata["parameters"] == which
    assert (metadata["scoresde_format"], metadata["step"]) == ("1", "6")
    assert main(["import", "--from=safetensors", str(file), f"--workdir={workdir}"]) == 0
    for raw in (True, False):
        assert_same(params_of(workdir, raw=raw), theirs)
    for name in ("config.json", "data.json"):
        assert (workdir / name).read_bytes() == (trained / name).read_bytes()
    assert opened(workdir).step == 6


def test_an_imported_workdir_trains_on(trained, tmp_path):
    """With the optimizer's warm-up again: two steps of it move a number by 2e-3 (1/2 + 1)."""
    file, workdir = tmp_path / "toy.safetensors", tmp_path / "run"
    assert main(["export", f"--workdir={trained}", f"--output={file}", "--raw"]) == 0
    assert main(["import", "--from=safetensors", str(file), f"--workdir={workdir}"]) == 0
    before = params_of(workdir, raw=True)
    assert train(workdir, "--config.training.num_steps=8") == 0
    assert [line["step"] for line in metrics_of(workdir)] == [8]
    assert opened(workdir).step == 8
    change = {k: np.abs(v - before[k]).max() for k, v in params_of(workdir, raw=True).items()}
    assert 0 < max(change.values()) < 3.01e-3


def test_another_average_is_exported_by_name(trained, tmp_path, capsys):
    file = tmp_path / "toy.safetensors"
    command = ["export", f"--workdir={trained}", f"--output={file}"]
    name = repr(opened(trained).experiment.training.ema_decay)
    assert main([*command, f"--average={name}"]) == 0
    assert_same(safetensors.numpy.load_file(file), params_of(trained))
    capsys.readouterr()
    assert "takes a new name" in refused(command, capsys)
    file.unlink()
    assert "unknown average" in refused([*command, "--average=0.5"], capsys)
    assert "--config.seed=3" in refused([*command, "--config.seed=3"], capsys)
    assert ".safetensors" in refused([*command[:2], f"--output={tmp_path / 'toy.pt'}"], capsys)
    assert not list(tmp_path.iterdir())


def test_a_reader_that_brings_its_fields_needs_no_config(monkeypatch, tmp_path, capsys):
    """The contract of readers in modules of their own; flags come last."""
    rng, shapes = np.random.default_rng(0), our_shapes(NCSNpp(**FLAT), (8, 8, 1))
    drawn = unflatten({k: rng.standard_normal(v, np.float32) for k, v in shapes.items()})
    fields = {f"model.{name}": value for name, value in FLAT.items()}
    fields |= {"model.fourier_scale": 3.0, "sde.name": "ve"}
    module: Any = types.ModuleType("experiments.conversion.diffusers.folder")
    module.read = lambda folder, experiment: Imported(fields, drawn, None, step=9)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    command = ["import", "--from=diffusers", str(tmp_path), f"--workdir={tmp_path / 'run'}"]
    assert "data.image_size" in refused(command, capsys)
    flags = ["--config.data.image_size=8", "--config.sde.name=subvp"]
    assert main([*command, *flags]) == 0
    assert_same(params_of(tmp_path / "run"), flatten(drawn))
    experiment = opened(tmp_path / "run").experiment
    assert (experiment.model.fourier_scale, experiment.model.args) == (3.0, {})
    assert (experiment.sde.name, experiment.model.nf) == ("subvp", 8)
    assert experiment.model.parameterization == "noise"  # as sub-VP has it
    assert opened(tmp_path / "run").step == 9


def test_a_file_that_does_not_fit_leaves_nothing(published, tmp_path, capsys):
    _, command = published
    workdir = f"--workdir={tmp_path / 'run'}"
    small = [*TRAINS, "--config.data.source=digits"]
    file = command[2]
    for arguments, words in (
        ([*command, workdir, "--config.data.source=digits"], ["--config.model.nf=8", file]),
        ([*command, workdir, *small, "--config.model.nf=16"], ["all_modules.0.weight", "nf=8"]),
        ([*command, workdir, *small, "--config.model.attn_resolutions=(16,)"], ["got 16", "8"]),
        ([*command, workdir, *small, "--config.model.nff=16"], ["model.nff", "model.nf"]),
        ([*command, workdir, *small, "--config.sde.name=vpp"], ["sde.name", "'vpp'"]),
        ([*command[:3], workdir], ["--config", "score_sde_pytorch"]),
        (["import", "--from=pytorch", file, workdir], ["--from", "'pytorch'", "score_sde_pytorch"]),
        (["import", "--from=safetensors", file, workdir, "--config=digits"], ["takes none"]),
        ([*command[:2], "none.pth", command[3], workdir], ["none.pth: no such file"]),
    ):
        line = refused(arguments, capsys)
        assert all(word in line for word in words), line
        assert not (tmp_path / "run").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    line = refused([*command, f"--workdir={tmp_path / 'full'}", *small], capsys)
    assert "is not empty" in line


def test_a_disk_that_fails_leaves_nothing(published, tmp_path, capsys, monkeypatch):
    _, command = published

    def fail(*_):
        raise UserError("disk: full")

    monkeypatch.setattr(Checkpoints, "save", fail)
    (tmp_path / "runs").mkdir()
    options = [*TRAINS, "--config.data.source=digits", f"--workdir={tmp_path / 'runs' / 'run'}"]
    assert "disk: full" in refused([*command, *options], capsys)
    assert not list((tmp_path / "runs").iterdir())


def test_what_is_no_checkpoint_is_refused(tmp_path, capsys):
    file = tmp_path / "a.pth"
    command = ["import", "--from=score_sde_pytorch", str(file), "--config=cifar10:vp"]
    for content in ({}, [], 3, {"model": 3, "ema": {}}, {"model": {}, "ema": [], "step": "x"}):
        save(file, content)
        line = refused([*command, f"--workdir={tmp_path / 'run'}"], capsys)
        assert "is no checkpoint of score_sde_pytorch" in line
