"""How far the networks of features and the resizes are from those of others, on photographs.

    python -m benchmarks.feature_networks --python=OTHER

OTHER is a Python with the packages that `feature_twins` names, by default this one. The twins of
Inception and DINOv2 have random weights, that of EfficientNet the published ones.

differences   largest |ours − theirs| over largest |theirs|, of each output
resizes       largest |ours − theirs| in grey levels of 0 … 255, from 400 pixels a side to 299
              ("down") and from 32 ("up")
classes       the likeliest ImageNet class of each photograph by EfficientNet, and its probability

The result goes to benchmarks/results/feature_networks.json, and the largest into the docs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import ROOT, into_pages, save
from experiments.evaluation.features import dinov2, efficientnet, inception
from experiments.evaluation.features.weights import params_of, read_weights
from experiments.evaluation.resize import resizes
from models.features.efficientnet import EfficientNetLite
from models.features.inception import Inception

SQUARE = 400
PHOTOGRAPHS = ("china", "flower", "grace_hopper")
"""Two of scikit-learn's and one of matplotlib's."""


def photographs() -> list[np.ndarray]:
    """Images uint8 [H, W, 3]."""
    from matplotlib import cbook
    from PIL import Image
    from sklearn.datasets import load_sample_images

    hopper = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    return [*load_sample_images().images, np.asarray(hopper.convert("RGB"))]


def middle(image: np.ndarray) -> np.ndarray:
    """The square in the middle of an image, [400, 400, 3]."""
    i, j = ((size - SQUARE) // 2 for size in image.shape[:2])
    return image[i : i + SQUARE, j : j + SQUARE]


def apart(ours: Any, theirs: np.ndarray) -> float:
    """The largest difference over the largest number."""
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def compare_inception(folder: pathlib.Path, images: np.ndarray) -> dict[str, float]:
    """Every output under both normalisations and resizes."""
    theirs = dict(np.load(folder / "inception.npz"))
    network = Inception()
    weights = read_weights(str(folder / "inception.pth"), "weights")
    params = params_of(weights, network, inception.SIDE, inception.name_of)
    run = jax.jit(lambda params, x: network.apply({"params": params}, x))
    scaled: dict[str, Callable] = {
        "torch": lambda x: x / 127.5 - 1,
        "tf1": lambda x: (x - 128) / 128,
    }
    found = {}
    for resize, scale in scaled.items():
        ours = run(params, scale(resizes[resize](images, inception.SIDE)))._asdict()
        for name, array in ours.items():
            if f"{resize}/{name}" in theirs:
                expected = theirs[f"{resize}/{name}"]
                # torch-fidelity keeps the mean of a map.
                is_mean = array.ndim == 4 and expected.ndim == 2
                array = array.mean((1, 2)) if is_mean else array
                expected = expected if expected.ndim == 2 else np.moveaxis(expected, 1, -1)
                found[f"inception {resize} {name}"] = apart(array, expected)
    return found


def compare_efficientnet(
    folder: pathlib.Path, cleaned: np.ndarray
) -> tuple[dict[str, float], dict[str, Any]]:
    """Features and logits with the published weights; the classes."""
    network, theirs = EfficientNetLite(), np.load(folder / "efficientnet.npz")
    weights = read_weights(str(efficientnet.weights_file()), "weights")
    params = params_of(weights, network, efficientnet.SIDE, efficientnet.name_of)
    run = jax.jit(lambda params, x: network.apply({"params": params}, x))
    features, logits = run(params, (cleaned - 127) / 128)
    chances = np.asarray(jax.nn.softmax(logits))
    classes = {
        name: {"class": int(row.argmax()), "probability": float(row.max())}
        for name, row in zip(PHOTOGRAPHS, chances, strict=True)
    }
    return {
        "efficientnet features": apart(features, theirs["features"]),
        "efficientnet logits": apart(logits, theirs["logits"]),
    }, classes


def compare_dinov2(folder: pathlib.Path, cleaned: np.ndarray) -> dict[str, float]:
    """The class tokens of both sizes."""
    theirs, found = np.load(folder / "dinov2.npz"), {}
    x = (cleaned / 255 - jnp.asarray(dinov2.MEAN)) / jnp.asarray(dinov2.STD)
    for name, network in dinov2.NETWORKS.items():
        weights = read_weights(str(folder / f"{name}.pth"), "weights")
        params = params_of(weights, network, dinov2.SIDE, dinov2.name_of, dinov2.UNUSED)
        run = jax.jit(lambda params, x, network=network: network.apply({"params": params}, x))
        found[f"dinov2 {name}"] = apart(run(params, x), theirs[name])
    return found


def compare_resizes(folder: pathlib.Path, images: np.ndarray) -> dict[str, float]:
    """In grey levels."""
    inputs, found = {"down": images, "up": images[:, 100:132, 100:132]}, {}
    for key, theirs in np.load(folder / "resized.npz").items():
        way, name = key.split("/")
        found[key] = float(np.abs(resizes[name](inputs[way], inception.SIDE) - theirs).max())
    return found


def words(result: dict[str, Any]) -> str:
    """The largest differences, and the class of the photograph that has one of ImageNet's."""
    largest = {
        name: max(v for key, v in result["differences"].items() if key.startswith(name))
        for name in ("efficientnet", "inception", "dinov2")
    }
    hopper = result["classes"]["grace_hopper"]
    return (
        f"{largest['efficientnet']:.0e} for EfficientNet-Lite0 with its published weights, "
        f"{largest['inception']:.0e} for Inception and {largest['dinov2']:.0e} for DINOv2, both "
        f"with random ones. Resized images differ by {max(result['resizes'].values()):.0e} grey "
        f"levels of 255 at most. EfficientNet takes matplotlib's photograph of Grace Hopper for "
        f"class {hopper['class']} (military uniform) with probability {hopper['probability']:.2f}"
    )


def main() -> None:
    """Run the twins, compare, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable)
    python = parser.parse_args().python
    whole = photographs()
    images = np.stack([middle(image) for image in whole])
    cleaned = np.concatenate([np.asarray(resizes["clean"](image[None], 224)) for image in whole])
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        np.savez(folder / "images.npz", photographs=images, cleaned=cleaned)
        command = [python, "-m", "benchmarks.feature_twins", folder]
        subprocess.run(command, cwd=ROOT, check=True)
        differences, classes = compare_efficientnet(folder, cleaned)
        differences |= compare_inception(folder, images) | compare_dinov2(folder, cleaned)
        versions = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
        result = {
            "differences": differences,
            "resizes": compare_resizes(folder, images),
            "classes": classes,
            "versions": versions,
        }
    print(json.dumps(result, indent=2))
    save("feature_networks", result)
    into_pages("feature_networks", words(result))


if __name__ == "__main__":
    main()
