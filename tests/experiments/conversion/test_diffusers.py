"""UNet2DModels of diffusers: the same function as the library's own, and what is not taken."""

import dataclasses
import json
import pathlib
import shutil
from functools import partial

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file

from experiments.builders.model import build_model, build_network, build_sde
from experiments.config_schema.resolve import default_config, resolve, to_config
from experiments.conversion.diffusers.folder import CONFIG, TENSORS, read
from experiments.errors import UserError
from sde_lib import Condition

GOLDEN = pathlib.Path(__file__).parents[2] / "golden/diffusers"
MODELS = ("adm", "ddpm", "ncsnpp")

ASKED = resolve(default_config())
"""What is asked for where nothing is."""

quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def experiment_of(fields):
    """The experiment of imported fields, as it comes back from a workdir's JSON."""
    config = default_config()
    for path, value in fields.items():
        *sections, name = path.split(".")
        section = config
        for part in sections:
            section = section[part]
        with section.unlocked():
            section[name] = value
    return resolve(ConfigDict(json.loads(json.dumps(to_config(resolve(config)).to_dict()))))


def conditions(values):
    """Of golden values."""
    return Condition(label=values["class_labels"]) if "class_labels" in values else None


@pytest.fixture(scope="module")
def imported():
    return {name: read(GOLDEN / name, ASKED) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_is_the_same_function(imported, name):
    values, params = np.load(GOLDEN / name / "values.npz"), imported[name].params
    # What remat computes again is the same too.
    config = dataclasses.replace(experiment_of(imported[name].fields).model, remat=True)
    network = build_network(config)
    # NCSN++ is told log σ here, and its output is divided by σ there.
    sigma = values["t"][:, None, None, None] if name == "ncsnpp" else np.float32(1)
    c = np.log(values["t"]) if name == "ncsnpp" else values["t"]
    cond = conditions(values)

    @quick_jit
    def run(params, x):
        out, pull = jax.vjp(lambda x: network.apply({"params": params}, x, c, cond), x)
        return out / sigma, pull(values["cotangent"] / sigma)[0]

    # Float32 sums of some hundred terms in another order: 2e-6 is seen.
    for got, key in zip(run(params, values["x"]), ("output", "gradient"), strict=True):
        for mine, theirs in zip(got, values[key], strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["adm", "ncsnpp"])
def test_the_output_means_the_same(imported, name):
    values, experiment = np.load(GOLDEN / name / "values.npz"), experiment_of(imported[name].fields)
    sde = build_sde(experiment.sde)
    model = build_model(experiment, sde, build_network(experiment.model), imported[name].params)
    t = values["t"] / 999
    if name == "ncsnpp":
        t = np.log(values["t"] / 0.01) / np.log(90 / 0.01)
    predict = quick_jit(lambda model, *given: model(*given))
    got = predict(model, values["x"], t, conditions(values))
    alpha, sigma = (np.asarray(curve(t))[:, None, None, None] for curve in (sde.alpha, sde.sigma))
    score = -got.noise / sigma
    meant = score if name == "ncsnpp" else alpha * got.noise - sigma * got.data  # v
    # 999 t and log σ(t) are rounded: 6e-5 of an angle.
    scale = np.abs(values["output"]).max((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(meant / scale, values["output"] / scale, atol=3e-4)


def test_what_is_known_of_the_sde_and_the_data(imported):
    known = {name: imported[name].fields for name in MODELS}
    for name, section in (("ddpm", (0.1, 20)), ("adm", (0.2, 10))):
        got = known[name]["sde.beta_min"], known[name]["sde.beta_max"]
        np.testing.assert_allclose(got, section, rtol=1e-12)
    assert known["ddpm"]["model.parameterization"] == "noise"
    assert known["adm"]["model.parameterization"] == "v"
    assert known["ddpm"]["data.centered"] is True
    assert known["ncsnpp"]["sde.name"] == "ve"
    assert known["ncsnpp"]["sde.sigma_max"] == 90
    assert known["ncsnpp"]["data.centered"] is False  # and the network centres them
    assert known["ncsnpp"]["model.center_input"] is True
    assert {fields["data.image_size"] for fields in known.values()} == {8}


def test_without_a_scheduler_the_sde_has_its_own_numbers(tmp_path):
    folder = copy("ncsnpp", tmp_path)
    shutil.rmtree(folder / "scheduler")
    fields = read(folder, ASKED).fields
    assert {"sde.sigma_min", "sde.sigma_max"}.isdisjoint(fields)
    assert (fields["sde.name"], fields["model.conditioning"]) == ("ve", "log_sigma")
    assert fields["model.parameterization"] == "scaled_score"


def copy(name, folder):
    """A golden model's folder, to be spoilt."""
    shutil.copytree(GOLDEN / name, folder / name)
    return folder / name


def change(path, **values):
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8"
    )


def test_the_moving_average_comes_with_its_step(imported, tmp_path):
    folder = copy("adm", tmp_path)
    shutil.copytree(folder / "unet", folder / "unet_ema")
    change(folder / "unet_ema" / CONFIG, decay=0.9999, optimization_step=700)
    tensors = load_file(folder / "unet" / TENSORS)
    doubled = {key: 2 * value for key, value in tensors.items()}
    save_file(doubled, folder / "unet_ema" / TENSORS)
    got = read(folder, ASKED)
    assert (got.step, imported["adm"].step, imported["adm"].averages) == (700, 0, None)
    for params, raw in ((got.params, 1), (got.averages, 2)):
        expected = raw * tensors["conv_in.bias"].astype(np.float32)
        np.testing.assert_array_equal(params["conv_in"]["bias"], expected)


def test_an_identity_is_told_as_it_is(tmp_path):
    folder = copy("ddpm", tmp_path)
    change(folder / CONFIG, class_embed_type="identity")
    got = read(folder, ASKED)
    assert got.fields["model.cond_dim"] == 32
    np.testing.assert_array_equal(got.params["time"]["cond"]["kernel"], np.eye(32))
    np.testing.assert_array_equal(got.params["time"]["cond"]["bias"], np.zeros(32))


DDPM, NCSNPP = "ddpm/config.json", "ncsnpp/unet/config.json"
SCHEDULER = "ddpm/scheduler_config.json"


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        (DDPM, {"_class_name": "UNet2DConditionModel"}, r'_class_name: got "UNet2DCond.*takes "UN'),
        (DDPM, {"down_block_types": ["DownBlock2D", "KDownBlock2D"]}, 'got "KDownBlock2D", takes'),
        (DDPM, {"up_block_types": ["UpBlock2D"]}, "up_block_types: got 1, takes 2, one a level"),
        (DDPM, {"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, 'got "SkipDownBlock2D"'),
        (DDPM, {"act_fn": "gelu"}, 'act_fn: got "gelu", takes "silu" or "swish"'),
        (DDPM, {"out_channels": 6}, "out_channels: got 6, takes 3"),
        (DDPM, {"class_embed_type": "timestep"}, 'got "timestep", takes null or "identity"'),
        (DDPM, {"time_embedding_type": "learned"}, 'got "learned", takes "positional" or'),
        (DDPM, {"mid_block_scale_factor": 2}, "mid_block_scale_factor: got 2, takes 1"),
        (DDPM, {"norm_num_groups": None}, "norm_num_groups: got null, takes a number"),
        (DDPM, {"norm_num_groups": 3}, "norm_groups: got 3, takes a divisor of the 8 channels"),
        (DDPM, {"attention_head_dim": 3}, "head_dim: got 3, takes a divisor of the 16 channels"),
        (DDPM, {"sample_size": 7}, "image size: got 7×7, takes multiples of 2"),
        (DDPM, {"block_out_channels": []}, "block_out_channels: got .., takes positive numbers"),
        (DDPM, {"layers_per_block": 0}, "layers_per_block: got 0, takes positive numbers"),
        (DDPM, {"sample_size": [8, 0]}, r"sample_size: got \[8, 0\], takes positive numbers"),
        (DDPM, {"down_block_types": []}, "down_block_types: got 0, takes 2, one a level"),
        (DDPM, {"layers_per_block": "2"}, 'layers_per_block: got "2", takes an integer'),
        (DDPM, {"sample_size": [8, "8"]}, "takes an integer or a list, each an integer or null"),
        (DDPM, {"dual_attention": True}, "dual_attention: got True, takes null"),
        (NCSNPP, {"norm_eps": 1e-5}, "norm_eps: got 1e-05, takes 1e-06"),
        (NCSNPP, {"attention_head_dim": 8}, "attention_head_dim: got 8, takes null"),
        (NCSNPP, {"mid_block_scale_factor": 1}, "mid_block_scale_factor: got 1, takes √2"),
        (NCSNPP, {"block_out_channels": [8, 12]}, r"got \[8, 12\], takes multiples of the first"),
        (NCSNPP, {"time_embedding_type": "positional"}, "flip_sin_to_cos: got true, takes false"),
        (
            NCSNPP,
            {"time_embedding_type": "positional", "flip_sin_to_cos": False},
            "freq_shift: got 0, takes 1",
        ),
        (NCSNPP, {"norm_num_groups": 8}, "norm_num_groups: got 8, takes null or [24]"),
        (
            NCSNPP,
            {"down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"]},
            "up_block_types: got .*takes attention where",
        ),
        (
            NCSNPP,
            {
                "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"],
                "up_block_types": ["AttnSkipUpBlock2D", "SkipUpBlock2D"],
            },
            "block_out_channels: got 16 at a level that attends, takes 128 or more",
        ),
        (
            NCSNPP,
            {
                "block_out_channels": [64, 128],
                "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"],
                "up_block_types": ["AttnSkipUpBlock2D", "SkipUpBlock2D"],
                "sample_size": None,
            },
            "sample_size: got null, takes the images' size: it attends",
        ),
        (SCHEDULER, {"beta_schedule": "squaredcos_cap_v2"}, 'got "squared.*, takes "linear"'),
        (SCHEDULER, {"beta_schedule": None}, "takes a scheduler of β_i, or no such file"),
        (SCHEDULER, {"num_train_timesteps": 4000}, "got 4000, takes 1000"),
        (SCHEDULER, {"prediction_type": "flow"}, 'got "flow", takes "epsilon" or "sample" or'),
        ("ncsnpp/scheduler/scheduler_config.json", {"_class_name": "X"}, 'takes "ScoreSdeVeSch'),
    ],
)
def test_an_option_that_is_not_taken_is_named(tmp_path, file, values, message):
    folder = copy(file.split("/")[0], tmp_path)
    change(tmp_path / file, **values)
    with pytest.raises(UserError, match=message) as error:
        read(folder, ASKED)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


def drop(tensors):
    del tensors["conv_in.bias"]


def reshape(tensors):
    tensors["conv_in.weight"] = tensors["conv_in.weight"].reshape(8, 3, 1, 9)


def extend(tensors):
    tensors["class_embedding.weight"] = np.zeros((3, 32), np.float32)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop, r"tensor conv_in.bias: got none, takes shape \[8\]"),
        (reshape, r"conv_in.weight: got shape \[8, 3, 1, 9\], takes \[8, 3, 3, 3\]"),
        (extend, r"class_embedding.weight: got shape \[3, 32\], takes none of that name"),
    ],
)
def test_tensors_must_be_those_of_the_config(tmp_path, spoil, message):
    folder = copy("ddpm", tmp_path)
    tensors = load_file(folder / TENSORS)
    spoil(tensors)
    save_file(tensors, folder / TENSORS)
    with pytest.raises(UserError, match=message):
        read(folder, ASKED)


def test_names_are_those_of_what_was_compiled(tmp_path, imported):
    folder = copy("ddpm", tmp_path)
    tensors = load_file(folder / TENSORS)
    save_file({f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}, folder / TENSORS)
    jax.tree.map(np.testing.assert_array_equal, read(folder, ASKED).params, imported["ddpm"].params)


def test_damaged_and_missing_files_stop_with_one_line(tmp_path):
    folder = copy("ddpm", tmp_path)
    whole = (folder / TENSORS).read_bytes()
    for part in (whole[:-100], whole[:5], b""):
        (folder / TENSORS).write_bytes(part)
        with pytest.raises(UserError, match="not a whole safetensors file"):
            read(folder, ASKED)
    (folder / TENSORS).unlink()
    with pytest.raises(UserError, match="no such file, takes one that diffusers' save_pretrained"):
        read(folder, ASKED)
    (folder / CONFIG).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"config.json: not valid JSON"):
        read(folder, ASKED)
    (folder / CONFIG).write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="got list, takes a JSON object"):
        read(folder, ASKED)
    with pytest.raises(UserError, match=r"holds no config.json, nor unet/config.json"):
        read(tmp_path, ASKED)
