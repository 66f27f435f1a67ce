"""The sections `sde` and `model`: the fields of the class that is named, declared there alone."""

import dataclasses
import json
import pickle

import flax.linen as nn
import pytest
from ml_collections import ConfigDict

from experiments.builders.model import build_network, build_sde
from experiments.config_schema.flags import load_experiment
from experiments.config_schema.resolve import default_config, filled, resolve, to_config
from experiments.config_schema.sections import ModelConfig
from experiments.errors import UserError
from experiments.workdir.folder import flat
from models import MLP, networks
from sde_lib import VE, VP, sdes
from sde_lib.sde import SDE

# What `model` held for every network, in the config.json of workdirs of before.
OLD_MODEL = {
    "parameterization": "edm",
    "conditioning": "log_noise",
    "embedding": "positional",
    "nf": 8,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "attn_resolutions": [4],
    "dropout": 0.2,
    "resblock": "biggan",
    "fir": False,
    "progressive": "none",
    "progressive_input": "none",
    "progressive_combine": "sum",
    "skip_rescale": True,
    "resamp_with_conv": True,
    "norm_groups": None,
    "head_dim": None,
    "center_input": False,
    "hidden": [16, 16],
    "num_classes": 0,
    "cond_dim": 0,
    "attention": "xla",
    "convolution": None,
    "remat": False,
    "dtype": "float32",
}
OLD_SDE = {"beta_min": None, "beta_max": 10.0, "sigma_min": None, "sigma_max": 20.0, "args": {}}


def old(name: str, args: dict, sde: str = "vp"):
    """The experiment of a stored config.json."""
    model = {"name": name, "args": args} | OLD_MODEL
    return resolve(ConfigDict({"model": model, "sde": {"name": sde} | OLD_SDE}))


class Own(nn.Module):
    """A network with fields that registered ones have, and one that none has."""

    nf: int = 5
    dtype: type = float
    depths: tuple = (1,)


class OwnSDE(SDE):
    """An SDE with a field of VE's and one of its own."""

    sigma_max: float = 3.0
    k: float = 1.0


def defaults(cls) -> dict:
    """What a class declares, without what Flax adds."""
    fields = {field.name: field.default for field in dataclasses.fields(cls)}
    return {name: value for name, value in fields.items() if name not in ("parent", "name")}


@pytest.mark.parametrize("name", list(networks))
def test_a_name_alone_gives_the_networks_own_defaults(name):
    section = resolve(filled(default_config(), {"model.name": name})).model
    common = {field.name for field in dataclasses.fields(ModelConfig)}
    own = {field.name for field in dataclasses.fields(section)} - common
    assert own == set(defaults(networks[name]))
    for field, value in defaults(networks[name]).items():
        # Two follow from the rest of the experiment, one from the platform.
        if field not in ("embedding", "center_input", "convolution"):
            assert getattr(section, field) == value


@pytest.mark.parametrize("name", list(sdes))
def test_an_sde_has_its_own_numbers(name):
    section = resolve(filled(default_config(), {"sde.name": name})).sde
    assert build_sde(section) == sdes[name]()
    given = {f.name: getattr(section, f.name) for f in dataclasses.fields(section)}
    assert given == {"name": name, "args": {}} | defaults(sdes[name])


def test_one_config_serves_an_ablation():
    """The fields of those that are not named wait there."""
    fields = {"sde.beta_max": 10.0, "sde.sigma_max": 20.0, "model.nf": 8, "model.width": 64}
    for sde, takes in (("vp", VP(beta_max=10.0)), ("ve", VE(sigma_max=20.0))):
        config = filled(default_config(), fields | {"sde.name": sde})
        assert build_sde(resolve(config).sde) == takes
    for name, field in (("ncsnpp", ("nf", 8)), ("dit", ("width", 64))):
        section = resolve(filled(default_config(), fields | {"model.name": name})).model
        assert getattr(section, field[0]) == field[1]
        assert not {"nf", "width"} <= {f.name for f in dataclasses.fields(section)}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["model.name=dit", "model.widht=96"], ["'model.widht'; did you mean 'model.width'?"]),
        (["model.name=dit", "model.nf=64"], ["'model.nf'", "model.depth", "model.width"]),
        (["model.nf=64", "model.name=mlp"], ["'model.nf'", "model.hidden"]),
        (["model.name=dit", "model.width=0"], ["model.width: got 0, takes an integer ≥ 1"]),
        (["model.name=dit", "model.positions=x"], ["model.positions: unknown value 'x'", "rope"]),
        (["model.name=dit", "model.args.width=0"], ["model.args.width: got 0, takes an integer"]),
        (["model.args.width=9"], ["unknown field of NCSNpp 'model.args.width'", "nf"]),
        (["sde.name=edm", "sde.rho=0"], ["sde.rho: got 0.0, takes a number ≥ 1"]),
        (["sde.name=edm", "sde.rhoo=1"], ["'sde.rhoo'; did you mean 'sde.rho'?"]),
        (["sde.args.rho=1"], ["unknown field of VP 'sde.args.rho'", "beta_max"]),
        ([f"model.name={__name__}:Own", "model.depths=3"], ["did you mean 'model.args.depths'?"]),
    ],
)
def test_a_flag_is_of_the_class_that_is_named(flags, words):
    with pytest.raises(UserError) as error:
        load_experiment("digits", [f"--config.{flag}" for flag in flags])
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_a_file_with_a_field_that_no_class_has():
    config = default_config()
    with pytest.raises(AttributeError, match="width"):
        config.model.widht = 3
    with pytest.raises(UserError, match=r"unknown field of DiT 'model\.widht'; .*'model\.width'"):
        resolve(filled(default_config(), {"model.name": "dit", "model.widht": 3}))


def test_old_workdirs_open_unchanged():
    """A null was the network's default; what no other network had was in args."""
    section = old("adm", {"attn_down": [1], "symmetric": False, "conv_up": [0]}).model
    assert build_network(section, training=True).nf == 8
    assert (section.attn_down, section.symmetric, section.conv_up) == ((1,), False, (0,))
    assert (section.dropout, section.head_dim, section.args) == (0.2, 64, {})
    # One head of all was a null of its own.
    assert build_network(old("adm", {"head_dim": None}).model).head_dim == 0
    assert build_network(old("mlp", {}).model) == MLP(hidden=(16, 16))
    dit = old("dit", {"width": 96, "depth": 4, "mlp_ratio": 2.0}).model
    assert (dit.width, dit.depth, dit.mlp_ratio, dit.dropout, dit.head_dim) == (96, 4, 2.0, 0.2, 64)
    assert build_sde(old("mlp", {}).sde) == VP(beta_max=10.0)
    assert build_sde(old("mlp", {}, "ve").sde) == VE(sigma_max=20.0)


@pytest.mark.parametrize("name", list(networks))
def test_what_is_stored_comes_back(name):
    """Flat, by the names of before, through JSON and a pickle."""
    experiment = resolve(filled(default_config(), {"model.name": name, "sde.name": "learned"}))
    stored = json.loads(json.dumps(dataclasses.asdict(experiment)))
    assert resolve(ConfigDict(stored)) == experiment
    assert resolve(to_config(experiment)) == experiment
    assert pickle.loads(pickle.dumps(experiment)) == experiment
    assert {f"model.{field}" for field in defaults(networks[name])} < set(flat(experiment))


def test_a_class_of_ones_own_keeps_its_defaults_and_args():
    own = {"model.name": f"{__name__}:Own", "sde.name": f"{__name__}:OwnSDE", "model.width": 3}
    experiment = resolve(filled(default_config(), own))
    assert build_network(experiment.model) == Own()
    json.dumps(dataclasses.asdict(experiment))
    own |= {"model.nf": 7, "model.args": {"depths": (2, 3)}, "sde.args": {"k": 2.0}}
    experiment = resolve(filled(default_config(), own | {"sde.sigma_max": 4.0}))
    assert build_network(experiment.model) == Own(nf=7, depths=(2, 3))
    assert (experiment.sde.sigma_max, experiment.sde.args) == (4.0, {"k": 2.0})
    # What is in args is what counts.
    shared = resolve(filled(default_config(), own | {"model.args": {"nf": 9}})).model
    assert build_network(shared) == Own(nf=9)
    with pytest.raises(UserError, match=r"unknown field of Own 'model\.args\.depth'"):
        build_network(resolve(filled(default_config(), own | {"model.args": {"depth": 1}})).model)
