"""Published PyTorch checkpoints: outputs of two of them, and the layout of every option."""

import jax
import numpy as np
import pytest

from experiments.builders.model import build_model, build_network, build_sde
from experiments.config_schema.flags import load_config
from experiments.config_schema.resolve import default_config, filled, resolve
from experiments.conversion.score_sde.checkpoint import convert
from experiments.conversion.score_sde.inference import infer
from experiments.errors import UserError
from experiments.state.trees import flatten
from tests.experiments.conversion.published import TINY, checkpoint, listed

NETS = {
    "ddpmpp_vp": {
        "sde.name": "vp",
        "model.nf": 16,
        "model.ch_mult": (1, 2),
        "model.num_res_blocks": 1,
        "model.attn_resolutions": (8,),
    },
    "ncsnpp_ve": {
        "sde.name": "ve",
        "model.nf": 16,
        "model.ch_mult": (1, 2, 2),
        "model.num_res_blocks": 1,
        "model.attn_resolutions": (8,),
        "model.fir": True,
        "model.progressive_input": "residual",
    },
}
# The programs run once: compiling them badly takes half the time.
QUICK = {"xla_backend_optimization_level": 0}


def experiment_of(options: dict, size: int | None = 8):
    """The experiment of options of `NCSNpp`."""
    fields = {f"model.{k}": v for k, v in options.items()}
    return resolve(filled(default_config(), fields | {"data.image_size": size}))


@pytest.mark.parametrize("name", NETS)
def test_the_averages_of_a_published_network_give_its_outputs(name, golden):
    """As published, in float32: roundings are up to 1e-5 of the largest value there."""
    values = golden(name)
    tensors = {k.removeprefix("tensors/"): v for k, v in values.items() if k.startswith("tens")}
    frozen = "module.all_modules.0.W"
    model = {"module.sigmas": np.ones(1000)}
    model |= {k: v if k == frozen else v + 1 for k, v in tensors.items()}
    shadow = [v for k, v in tensors.items() if k != frozen]
    experiment = resolve(filled(default_config(), NETS[name] | {"data.image_size": 16}))
    imported = convert(model, shadow, 3, experiment)
    sde, net = build_sde(experiment.sde), build_network(experiment.model)
    predict = build_model(experiment, sde, net, imported.averages)
    run = jax.jit(lambda predict, x: predict(x, values["t"]).noise)
    noise = run.lower(predict, values["x"]).compile(QUICK)(predict, values["x"])
    score = -np.asarray(noise) / np.asarray(sde.sigma(values["t"]))[:, None, None, None]
    # The published output is the noise under VP, and under VE the score.
    output = noise if name == "ddpmpp_vp" else score
    for ours, key in ((output, "out_ema"), (score, "score_ema")):
        want = values[key]
        np.testing.assert_allclose(ours, want, atol=2e-5 * np.abs(want).max(), err_msg=key)


OPTIONS = {
    "deep": {"num_res_blocks": 2, "ch_mult": (1, 2, 2), "attn_resolutions": (8, 2)},
    "one level": {"ch_mult": (2,), "attn_resolutions": ()},
    "residual": {
        "embedding": "fourier",
        "fir": True,
        "progressive_input": "residual",
        "progressive": "residual",
    },
    "skip": {"progressive_input": "input_skip", "progressive": "output_skip"},
    "cat": {"progressive_input": "input_skip", "progressive_combine": "cat"},
    "ddpm": {"resblock": "ddpm", "skip_rescale": False, "norm_groups": 8},
    "ddpm fir": {"resblock": "ddpm", "fir": True, "progressive": "residual"},
    "ddpm without convolution": {
        "resblock": "ddpm",
        "resamp_with_conv": False,
        "progressive": "residual",
        "progressive_input": "residual",
    },
    "ddpm cat": {
        "resblock": "ddpm",
        "progressive_input": "input_skip",
        "progressive_combine": "cat",
        "progressive": "output_skip",
    },
    "without time": {"time_conditioned": False, "embedding": "fourier"},
}


def lies(tensor, value):
    """A published array as it should lie here."""
    if tensor.kind == "conv":
        return np.einsum("oihw->hwio", value)
    if tensor.kind == "point":
        return value[:, :, 0, 0].T
    return value.T if tensor.kind == "linear" else value


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_tensor_has_its_place(options):
    tensors = listed(TINY | options)
    content = checkpoint(tensors)
    experiment = experiment_of(TINY | options)
    shadow = content["ema"]["shadow_params"]
    imported = convert(content["model"], shadow, 5, experiment)
    trained = iter(shadow)
    averages = {
        t.name: content["model"][t.name] if t.name.endswith("all_modules.0.W") else next(trained)
        for t in tensors
    }
    for values, tree in ((content["model"], imported.params), (averages, imported.averages)):
        ours = flatten(tree)
        assert ours.keys() == {tensor.ours for tensor in tensors} - {None}
        for tensor in tensors:
            if tensor.ours is None:
                continue
            got = ours[tensor.ours]
            if tensor.kind in "012":
                got = np.split(got, 3, axis=-1)[int(tensor.kind)]
            np.testing.assert_array_equal(got, lies(tensor, values[tensor.name]), tensor.name)
        placed = sum(np.prod(tensor.shape) for tensor in tensors if tensor.ours)
        assert sum(leaf.size for leaf in ours.values()) == placed


def shapes_of(options, size=8):
    return {t.name.removeprefix("module."): t.shape for t in listed(options, size)}


# What no tensor tells.
HIDDEN = ("skip_rescale", "norm_groups")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_tensors_tell_the_options(options):
    options = TINY | options
    found = infer(shapes_of(options)).fields_for(8)
    assert found.items() >= {k: v for k, v in options.items() if k not in HIDDEN}.items()


SKIP = {
    "embedding": "fourier",
    "fir": True,
    "progressive": "output_skip",
    "progressive_input": "input_skip",
    "progressive_combine": "sum",
}
CIFAR = {"nf": 128, "ch_mult": (1, 2, 2, 2), "num_res_blocks": 4, "attn_resolutions": (16,)}
NCSN = {"embedding": "fourier", "fir": True, "progressive_input": "residual"}
WIDEST = {"nf": 16, "ch_mult": (1, 2, 4, 8, 16, 32, 32, 32), "num_res_blocks": 1}
PUBLISHED = {
    "cifar10:vp,ddpm": (32, CIFAR | {"num_res_blocks": 2, "resblock": "ddpm"}, 35_218_947),
    "cifar10:vp": (32, CIFAR, 61_804_419),
    "cifar10:ve": (32, CIFAR | NCSN, 62_758_915),
    "1024 pixels": (1024, CIFAR | WIDEST | SKIP, 105_785_896),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_are_told(name):
    """Their numbers of parameters are the published ones, so the list of the test is right too."""
    size, options, count = PUBLISHED[name]
    shapes = shapes_of(options, size)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == count
    found = infer(shapes).fields_for(size)
    # A resolution without a convolution of its own does not show whether it filters.
    assert found.items() >= {k: v for k, v in options.items() if (k != "fir" or k in found)}.items()
    if name.startswith("cifar10"):
        packaged = resolve(load_config(name)).model
        assert found == {field: getattr(packaged, field) for field in found}


def message(options, content, size=8) -> str:
    with pytest.raises(UserError) as caught:
        convert(content["model"], content["ema"]["shadow_params"], 5, experiment_of(options, size))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_config_that_does_not_fit_is_told_what_does():
    content = checkpoint(listed(TINY | OPTIONS["residual"]))
    told = message(TINY | {"nf": 16, "ch_mult": (1,), "resblock": "ddpm"}, content)
    for word in (
        "all_modules.0.weight",
        "--config.model.nf=8",
        "--config.model.embedding=fourier",
        "--config.model.fir=True",
        "--config.model.resblock=biggan",
        "--config.model.progressive_input=residual",
        "--config.model.progressive=residual",
        "'--config.model.ch_mult=(1,2)'",
    ):
        assert word in told, told
    assert "num_res_blocks" not in told
    assert "'--config.model.attn_resolutions=(4,)'" in message(
        TINY | {"attn_resolutions": ()}, checkpoint(listed(TINY))
    )


def test_what_does_not_fit_is_named():
    content = checkpoint(listed(TINY))
    told = message(TINY | {"ch_mult": (1, 3)}, content)
    assert "has shape (16, 8, 3, 3), the config takes (24, 8, 3, 3)" in told, told
    extra = content | {"model": content["model"] | {"module.all_modules.99.weight": np.ones(3)}}
    told = message(TINY, extra)
    assert "all_modules.99.weight of shape (3,)" in told
    assert "of any ddpm or ncsnpp" in told
    odd = checkpoint(listed(TINY | {"nf": 7}))  # whose embedding no network has
    assert "of any ddpm or ncsnpp" in message(TINY, odd)
    fewer = {"decay": 0.9, "shadow_params": content["ema"]["shadow_params"][1:]}
    assert "ema: holds" in message(TINY, content | {"ema": fewer})
    name = "module.all_modules.1.bias"
    missing = {k: v for k, v in content["model"].items() if k != name}
    assert "has no all_modules.1.bias" in message(TINY, content | {"model": missing})
    assert "no convolution" in message(TINY, content | {"model": {}})
    assert "has time/class/embedding" in message(TINY | {"num_classes": 3}, content)
    assert "'ncsnpp'" in message({"name": "mlp"}, content)


def wrapped(name: str) -> list[str]:
    """What wrappers make of a tensor's name."""
    first, second, rest = name.split(".", 2)
    return [
        f"module.{name}",
        f"_orig_mod.{name}",
        f"module._orig_mod.{name}",
        f"_orig_mod.module.{name}",
        f"_orig_mod.{first}.{second}._orig_mod.{rest}",
    ]


def test_names_are_those_of_what_was_wrapped():
    """By DistributedDataParallel and torch.compile, the whole or its parts."""
    content = checkpoint(listed(TINY))
    model, shadow = content["model"], content["ema"]["shadow_params"]
    bare = {name.removeprefix("module."): tensor for name, tensor in model.items()}
    bare.pop("sigmas", None)
    plain = convert(bare, shadow, 5, experiment_of(TINY))
    for names in zip(*map(wrapped, bare), strict=True):
        named = dict(zip(names, bare.values(), strict=True))
        imported = convert(named, shadow, 5, experiment_of(TINY))
        jax.tree.map(np.testing.assert_array_equal, imported.params, plain.params)
        jax.tree.map(np.testing.assert_array_equal, imported.averages, plain.averages)


def test_attention_tells_the_size_where_neither_config_nor_data_do(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    for resolutions, size in (((4,), 8), ((16,), 32)):
        content = checkpoint(listed(TINY))
        fields = {f"model.{k}": v for k, v in TINY.items()}
        fields |= {"model.attn_resolutions": resolutions, "data.source": "npz:none.npz"}
        experiment = resolve(filled(default_config(), fields))
        imported = convert(content["model"], content["ema"]["shadow_params"], 5, experiment)
        assert imported.data.shape == (size, size, 3)
    bare = checkpoint(listed(TINY | {"attn_resolutions": ()}))
    with pytest.raises(UserError, match=r"data\.image_size: got None"):
        convert(bare["model"], bare["ema"]["shadow_params"], 5, experiment)
