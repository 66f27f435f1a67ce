"""Networks of classes by others: their rows, the null among them, and commands on their workdirs.

The golden ADM has three rows; its golden values are those of the last and the first.
"""

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from experiments.builders.model import build_network
from experiments.cli import main
from experiments.config_schema.resolve import default_config, filled, resolve
from experiments.conversion.diffusers.folder import read
from experiments.errors import UserError
from experiments.runtime import devices
from experiments.state.trees import flatten
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel
from sde_lib import Condition
from tests.experiments.conftest import refused, train

ADM = pathlib.Path(__file__).parents[2] / "golden/diffusers/adm"
ROWS = load_file(ADM / "unet/diffusion_pytorch_model.safetensors")["class_embedding.weight"]
COMMAND = ["import", "--from=diffusers", str(ADM)]
DRAW = ["--devices=1", "--num=3", "--batch=4", "--steps=2", "--no-denoise"]


def asked(num_classes):
    return resolve(filled(default_config(), {"model.num_classes": num_classes}))


def opened(workdir):
    return TrainedModel.open(workdir, [], devices.make_mesh(1))


def draw(workdir, *arguments):
    output = workdir.parent / "-".join(["drawn", *arguments]).replace("--", "")
    assert main(["sample", f"--workdir={workdir}", *DRAW, *arguments, f"--output={output}"]) == 0
    return np.load(f"{output}.npz")["images"].astype(int)


@pytest.fixture(scope="module")
def without_null(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("classes") / "run"
    assert main([*COMMAND, f"--workdir={workdir}"]) == 0
    return workdir


@pytest.fixture(scope="module")
def with_null(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("null") / "run"
    assert main([*COMMAND, f"--workdir={workdir}", "--config.model.num_classes=2"]) == 0
    return workdir


def test_rows_are_classes_and_the_null_is_zero_where_none_is_told():
    for given in (0, 3):
        got = read(ADM, asked(given))
        np.testing.assert_array_equal(got.params["time"]["class"]["embedding"], ROWS)
        np.testing.assert_array_equal(got.params["time"]["null"], np.zeros(32))
        fields = got.fields
        assert (fields["model.conditional"], fields["model.num_classes"]) == (True, 3)
        assert fields["training.cond_dropout"] == 0


def test_the_last_row_is_the_null_of_one_class_less():
    got = read(ADM, asked(2))
    np.testing.assert_array_equal(got.params["time"]["class"]["embedding"], ROWS[:2])
    np.testing.assert_array_equal(got.params["time"]["null"], ROWS[2])
    assert got.fields["model.num_classes"] == 2
    assert "training.cond_dropout" not in got.fields  # what the config has, 0.1


def test_the_null_is_the_same_function_as_the_last_class():
    got, values = read(ADM, asked(2)), np.load(ADM / "values.npz")
    assert values["class_labels"].tolist() == [2, 0]
    network = build_network(resolve(filled(default_config(), got.fields)).model)
    cond = Condition(label=jnp.array([1, 0]), keep=jnp.array([False, True]))
    out = jax.jit(network.apply)({"params": got.params}, values["x"], values["t"], cond)
    for mine, theirs in zip(out, values["output"], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("given", [1, 4])
def test_rows_that_fit_no_number_of_classes_are_refused(given, tmp_path, capsys):
    with pytest.raises(UserError, match=f"got 3, takes {given}, or {given + 1} of which the last"):
        read(ADM, asked(given))
    workdir = tmp_path / "run"
    line = refused(
        [*COMMAND, f"--workdir={workdir}", f"--config.model.num_classes={given}"], capsys
    )
    assert "num_class_embeds: got 3" in line
    line = refused([*COMMAND, f"--workdir={workdir}", "--config.model.conditional=False"], capsys)
    assert "model.num_classes: got 3, takes 0 unless model.conditional" in line
    assert not workdir.exists()


def test_the_averages_have_their_own_null(tmp_path):
    """A folder of both, each of whose files has its last row."""
    for part, scale in (("unet", 1), ("unet_ema", 2)):
        copied(tmp_path / part, scale)
    got = read(tmp_path, asked(2))
    for params, scale in ((got.params, 1), (got.averages, 2)):
        np.testing.assert_array_equal(params["time"]["null"], scale * ROWS[2])
        assert params["time"]["class"]["embedding"].shape == (2, 32)


def copied(folder, scale):
    """The golden network with all its numbers times this."""
    folder.mkdir()
    (folder / "config.json").write_bytes((ADM / "unet/config.json").read_bytes())
    tensors = load_file(ADM / "unet/diffusion_pytorch_model.safetensors")
    save_file(
        {k: scale * v for k, v in tensors.items()}, folder / "diffusion_pytorch_model.safetensors"
    )


def test_a_workdir_of_classes_samples_each(without_null, capsys):
    spec = Workdir(without_null).data_spec
    assert (spec.shape, spec.num_classes, spec.class_names) == ((8, 8, 3), 3, ())
    config = json.loads((without_null / "config.json").read_text(encoding="utf-8"))
    assert config["model"]["conditional"] is True
    assert (config["model"]["num_classes"], config["training"]["cond_dropout"]) == (3, 0)
    every, asked_for = draw(without_null), draw(without_null, "--classes=0,2,2")
    assert (every[1] != asked_for[1]).any()  # of class 1, and of class 2
    np.testing.assert_allclose(every[[0, 2]], asked_for[[0, 2]], atol=1)
    capsys.readouterr()
    line = refused(["sample", f"--workdir={without_null}", *DRAW, "--classes=3"], capsys)
    assert "--classes: got 3, takes 0 to 2" in line
    line = refused(["sample", f"--workdir={without_null}", *DRAW, "--guidance=2"], capsys)
    assert "sampling.guidance: got 2, takes 1: the model has no null" in line


def test_a_workdir_with_a_null_is_guided(with_null):
    """From the null, which no class differs from, to beyond the class."""
    assert Workdir(with_null).data_spec.num_classes == 2
    assert opened(with_null).experiment.training.cond_dropout == 0.1
    nulls = [draw(with_null, "--guidance=0", f"--classes={label}") for label in (0, 1)]
    np.testing.assert_allclose(*nulls, atol=1)
    assert np.abs(draw(with_null, "--guidance=3", "--classes=0") - nulls[0]).max() > 1


def test_data_of_as_many_classes_are_its_data(tmp_path, capsys):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 8, 3), "uint8")
    for name, classes in (("fits", 2), ("other", 4)):
        labels = np.arange(12) % classes
        np.savez(tmp_path / f"{name}.npz", images=images, labels=labels)
    command = [*COMMAND, "--config.model.num_classes=2", "--config.data.holdout=0.3"]
    for name, words in (("fits", "next: "), ("other", "which has 4 classes, not 2")):
        source, workdir = f"npz:{tmp_path / name}.npz", tmp_path / name
        assert main([*command, f"--config.data.source={source}", f"--workdir={workdir}"]) == 0
        said = capsys.readouterr().out
        assert words in said
        assert ("it can sample" in said) == (name == "other")
        assert Workdir(workdir).data_spec.num_classes == 2
    examples = opened(tmp_path / "fits").dataset("train")
    assert set(examples.labels.tolist()) == {0, 1}
    with pytest.raises(UserError, match="has 4 classes, takes at most 2, the model's"):
        opened(tmp_path / "other").dataset("train")


def test_a_workdir_of_an_identity_takes_vectors_as_they_are(tmp_path, capsys):
    """That is what they are added as, in units of the embedding."""
    shutil.copytree(ADM.parent / "ddpm", tmp_path / "identity")
    config = tmp_path / "identity" / "config.json"
    values = json.loads(config.read_text(encoding="utf-8")) | {"class_embed_type": "identity"}
    config.write_text(json.dumps(values), encoding="utf-8")
    command = ["import", "--from=diffusers", str(tmp_path / "identity")]
    rng = np.random.default_rng(0)
    images, source = rng.integers(0, 256, (12, 8, 8, 3), "uint8"), tmp_path / "set.npz"
    np.savez(source, images=images, z=rng.normal(3.0, 2.0, (12, 32)))
    given = [f"--config.data.source=npz:{source}", "--config.data.cond=z"]
    assert main([*command, *given, f"--workdir={tmp_path / 'run'}"]) == 0
    assert "which has vectors of 32 numbers in other units" in capsys.readouterr().out
    trained = opened(tmp_path / "run")
    assert trained.train.cond_dim == trained.experiment.model.cond_dim == 32
    vectors = np.arange(64, dtype=np.float32).reshape(2, 32)
    np.testing.assert_array_equal(trained.train.standardised(vectors), vectors)
    capsys.readouterr()
    sample = ["sample", f"--workdir={tmp_path / 'run'}", *DRAW]
    line = refused([*sample, "--guidance=2"], capsys)
    assert "the model has no null" in line
    assert "takes 32 finite numbers" in refused([*sample, "--cond=1,2"], capsys)


def assert_comes_back(run, folder):
    """From our own file, bit for bit: config.json, the null, and what of the network data tell."""
    file, workdir = folder / "model.safetensors", folder / "again"
    assert main(["export", f"--workdir={run}", f"--output={file}"]) == 0
    assert main(["import", "--from=safetensors", str(file), f"--workdir={workdir}"]) == 0
    config = (run / "config.json").read_bytes()
    assert (workdir / "config.json").read_bytes() == config
    theirs, mine = (flatten(opened(path).model.params) for path in (run, workdir))
    assert theirs.keys() == mine.keys()
    for name, leaf in theirs.items():
        np.testing.assert_array_equal(mine[name], leaf, err_msg=name)
    return mine


def test_an_exported_model_of_classes_comes_back(with_null, tmp_path):
    params = assert_comes_back(with_null, tmp_path)
    np.testing.assert_array_equal(params["time/null"], ROWS[2].astype(np.float32))


def test_a_model_whose_classes_its_data_count_comes_back(tmp_path):
    """`train` leaves their number to the data, and so does the file."""
    run = tmp_path / "run"
    flags = ["--config.data.source=toy:mixture", "--config.model.conditional=True"]
    assert train(run, *flags, "--config.training.num_steps=1") == 0
    assert Workdir(run).load().model.num_classes == 0
    assert_comes_back(run, tmp_path)
