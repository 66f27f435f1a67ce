"""A folder of diffusers, imported and exported: the same tensors, config and SDE again."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments.cli import main
from experiments.config_schema.resolve import default_config, filled, resolve
from experiments.conversion.diffusers import class_rows, export, tensors
from experiments.conversion.diffusers.folder import CONFIG, TENSORS, read
from experiments.errors import UserError
from tests.experiments.conftest import refused

GOLDEN = pathlib.Path(__file__).parents[2] / "golden/diffusers"
# Which no block of these networks uses, or which says what its default says.
UNUSED = {"_diffusers_version", "num_train_timesteps", "downsample_type", "upsample_type"}
UNUSED |= {"flip_sin_to_cos", "freq_shift", "attn_norm_num_groups", "downsample_padding"}


def experiment_of(name, num_classes=0, **fields):
    """The golden network's parameters and experiment, for so many classes."""
    imported = read(
        GOLDEN / name, resolve(filled(default_config(), {"model.num_classes": num_classes}))
    )
    return imported.params, resolve(filled(default_config(), imported.fields | fields))


def folder_of(name):
    return GOLDEN / name if (GOLDEN / name / CONFIG).exists() else GOLDEN / name / "unet"


@pytest.mark.parametrize(("name", "classes"), [("adm", 3), ("adm", 2), ("ddpm", 0), ("ncsnpp", 0)])
def test_what_was_imported_is_exported_as_it_was(name, classes, tmp_path):
    params, experiment = experiment_of(name, classes)
    export.write(tmp_path / "out", params, experiment, (8, 8, 3))
    # Those of the golden DDPM have older names.
    theirs = tensors.read(folder_of(name) / TENSORS)
    mine = load_file(tmp_path / "out" / TENSORS)
    assert theirs.keys() == mine.keys()
    for key, tensor in theirs.items():
        np.testing.assert_array_equal(mine[key], tensor, err_msg=key)
    config, written = (
        json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        for folder in (folder_of(name), tmp_path / "out")
    )
    for key in config.keys() - UNUSED:
        assert written[key] == config[key], key
    back = read(tmp_path / "out", experiment)
    jax.tree.map(np.testing.assert_array_equal, back.params, params)


def test_the_null_of_a_model_that_drops_its_classes_is_the_last_row(tmp_path):
    """A trained one, unlike zero, is a row; one that was not trained is none."""
    params, experiment = experiment_of("adm")
    for rate, rows in ((0.1, 4), (0.0, 3)):
        training = dataclasses.replace(experiment.training, cond_dropout=rate)
        given = dataclasses.replace(experiment, training=training)
        path = tmp_path / str(rows)
        params["time"]["null"] = np.full(32, 0.5, np.float32)
        export.write(path, params, given, (8, 8, 3))
        tensor = load_file(path / TENSORS)["class_embedding.weight"]
        assert tensor.shape == (rows, 32)
        np.testing.assert_array_equal(tensor[:3], params["time"]["class"]["embedding"])
        back = read(path, given)
        np.testing.assert_array_equal(back.params["time"]["null"], 0.5 if rows == 4 else 0)
    assert class_rows.split_null(params, 3) is params


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("ncsnpp", {"model.fir": False}, "model.fir: got False, takes True with --to=diffusers"),
        ("ncsnpp", {"model.norm_groups": 2}, "model.norm_groups: got 2, takes None"),
        ("ddpm", {"model.norm_groups": None}, "UNet2DModel's norm_num_groups: got null"),
        ("ddpm", {"sde.name": "cosine"}, "sde.name: got 'cosine', takes 'vp' or 've'"),
        (
            "ddpm",
            {"model.parameterization": "edm"},
            "parameterization: got 'edm', takes 'noise' or",
        ),
        ("ddpm", {"data.centered": False}, "data.centered: got False, takes True"),
        (
            "ddpm",
            {"model.conditioning": "log_noise"},
            "conditioning: got 'log_noise', takes 'time'",
        ),
        ("ddpm", {"model.cond_dim": 32}, "model.cond_dim: got 32, takes 0"),
    ],
)
def test_what_no_unet_of_theirs_is_leaves_nothing(name, fields, message, tmp_path):
    params, experiment = experiment_of(name, **fields)
    with pytest.raises(UserError, match=message) as error:
        export.write(tmp_path / "out", params, experiment, (8, 8, 3))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_what_is_no_unet_of_square_images(trained, tmp_path, capsys):
    export_to = ["export", f"--workdir={trained}", "--to=diffusers", f"--output={tmp_path / 'out'}"]
    line = refused(export_to, capsys)
    assert "model.name: got 'mlp', takes 'adm' or 'ncsnpp'" in line
    params, experiment = experiment_of("ddpm")
    with pytest.raises(UserError, match=r"^--to: got 'diffusers', .* not of \(8, 4, 3\)$"):
        export.write(tmp_path / "out", params, experiment, (8, 4, 3))
    assert not list(tmp_path.iterdir())


def test_attention_by_heights_is_attention_by_levels(tmp_path):
    """An ADM as it is trained here, with kinds of blocks that no golden one has."""
    params, experiment = experiment_of("ddpm")
    fields = {"attn_down": None, "attn_up": None, "attn_resolutions": (4,)}
    given = dataclasses.replace(experiment.model, **fields, norm_groups=4)
    export.write(tmp_path / "out", params, dataclasses.replace(experiment, model=given), (8, 8, 3))
    config = json.loads((tmp_path / "out" / CONFIG).read_text(encoding="utf-8"))
    assert config["down_block_types"] == ["DownBlock2D", "AttnDownBlock2D"]
    assert config["up_block_types"] == ["AttnUpBlock2D", "UpBlock2D"]


def test_the_command_says_how_it_comes_back(tmp_path, capsys):
    run, out, again = (tmp_path / name for name in ("run", "out", "again"))
    flags = ["--config.model.num_classes=2"]
    command = ["import", "--from=diffusers", str(GOLDEN / "adm"), f"--workdir={run}", *flags]
    assert main(command) == 0
    capsys.readouterr()
    exported = ["export", f"--workdir={run}", "--to=diffusers", f"--output={out}"]
    assert main(exported) == 0
    said = capsys.readouterr().out
    assert f"--from=diffusers {out} --workdir=DIR {flags[0]}" in said
    assert main(["import", "--from=diffusers", str(out), f"--workdir={again}", *flags]) == 0
    for name in ("config.json", "data.json"):
        assert (again / name).read_bytes() == (run / name).read_bytes()
    capsys.readouterr()
    assert "takes a new name" in refused(exported, capsys)
