"""The configs of published experiments: all can be built, with as many parameters as published."""

import dataclasses

import jax
import pytest

from experiments.builders.model import build_network
from experiments.config_schema import flags
from experiments.config_schema.resolve import resolve
from experiments.errors import UserError


def experiment(config):
    return resolve(flags.load_config(config))


def num_parameters(config, size):
    # Traced the fastest: how convolutions are computed changes no parameter.
    network = build_network(experiment(config).model).clone(convolution="xla")
    x = jax.ShapeDtypeStruct((1, size, size, 3), "float32")
    c = jax.ShapeDtypeStruct((1,), "float32")
    params = jax.eval_shape(network.init, jax.random.key(0), x, c)["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("config", "size", "published"),
    [
        ("cifar10:vp", 32, 61_804_419),
        ("cifar10:vp,ddpm", 32, 35_218_947),
        ("cifar10:ve", 32, 62_758_915),
        ("bedroom", 256, 65_574_549),
        ("bedroom:vp", 256, 111_569_923),
        ("celebahq:1024", 1024, 105_785_896),
    ],
)
def test_has_as_many_parameters_as_published(config, size, published):
    assert num_parameters(config, size) == published


def test_deep_is_of_twice_the_blocks_under_any_sde():
    """So `cifar10:vp,deep` has as many parameters as published, 106,632,579."""
    for sde in ("vp", "ve"):
        deep = dataclasses.replace(experiment(f"cifar10:{sde}").model, num_res_blocks=8)
        assert experiment(f"cifar10:{sde},deep").model == deep


def test_small_is_a_trial_on_a_cpu():
    """With EDM's preconditioning and training, whose parts go together; the data as they were."""
    small, whole = experiment("cifar10:subvp,small"), experiment("cifar10:subvp")
    assert (small.sde, small.data) == (whole.sde, whole.data)
    found = {
        **dataclasses.asdict(small.model),
        **dataclasses.asdict(small.training),
        **{f"drawn_{name}": x for name, x in dataclasses.asdict(small.sampling).items()},
        "measured_batch_size": small.likelihood.batch_size,
    }
    expected = {
        "parameterization": "edm",
        "conditioning": "log_noise",
        "weighting": "edm",
        "times": "log_normal",
        "schedule": "cosine",
        "learning_rate": 1e-3,
        "warmup": 50,
        "nf": 32,
        "ch_mult": (1, 2, 2),
        "num_res_blocks": 1,
        "attn_resolutions": (8,),
        "num_steps": 300,
        "batch_size": 32,
        "ema_decay": 0.99,
        "log_every": 10,
        "save_every": 100,
        "sample_every": 0,
        "drawn_batch_size": 16,
        "drawn_num": 16,
        "measured_batch_size": 16,
    }
    assert {name: found[name] for name in expected} == expected
    assert round(num_parameters("cifar10:vp,small", 32) / 1e6, 1) == 1.3


@pytest.mark.parametrize(
    ("config", "same"),
    [
        ("cifar10:deep,subvp", "cifar10:vp,deep"),
        ("celeba:ve", "cifar10:ve"),
        ("church", "bedroom"),
        ("celebahq", "bedroom"),
        ("celebahq:vp", "bedroom:vp"),
        ("ffhq", "bedroom"),
        ("ffhq:1024", "celebahq:1024"),
    ],
)
def test_has_the_network_of_another(config, same):
    assert experiment(config).model == experiment(same).model


def test_what_follows_from_the_sde_is_as_published():
    ve, vp = experiment("cifar10:ve"), experiment("cifar10:vp")
    assert (ve.training.ema_decay, vp.training.ema_decay) == (0.999, 0.9999)
    assert (ve.data.centered, ve.model.center_input) == (False, True)
    assert (vp.data.centered, vp.model.center_input) == (True, False)
    assert (ve.model.embedding, vp.model.embedding) == ("fourier", "positional")
    assert (vp.training.num_steps, experiment("cifar10:deep").training.num_steps) == (
        1_300_000,
        950_000,
    )
    sigma_max = {name: experiment(name).sde.sigma_max for name in ("celeba", "church", "ffhq:1024")}
    assert sigma_max == {"celeba": 90, "church": 380, "ffhq:1024": 1348}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("cifar10:vq", ["'vq'", "'vp'"]),
        ("cifar10:vp,ve", ["vp and ve", "one sde"]),
        ("celebahq:vp,1024", ["vp and 1024", "256"]),
        ("cifar10:small,deep", ["deep and small", "one of the two"]),
    ],
)
def test_unknown_words(config, words):
    with pytest.raises(UserError) as error:
        flags.load_config(config)
    assert all(word in str(error.value) for word in words)
