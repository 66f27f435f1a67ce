"""Features of Inception-v3 of 2015-12-05: those of the Fréchet distance as it was published."""

import dataclasses
import pathlib
from typing import Any

import jax

from experiments.data import Split
from experiments.evaluation.features.extractor import Features, features
from experiments.evaluation.features.images import ImageExtractor, check_images
from experiments.evaluation.features.network import called
from experiments.evaluation.features.weights import params_of, read_weights
from experiments.evaluation.resize import resizes
from models.features.inception import Inception
from sde_lib import ranged

SIDE = 299
PUBLISHED = "pt_inception-2015-12-05-6726825d.pth"
"""The file of pytorch-fid; it ends in the first digits of its SHA-256."""


@features.register("inception")
@dataclasses.dataclass(frozen=True, kw_only=True)
class InceptionFeatures(Features):
    """The 2048 features of the third pooling, and 1008 probabilities as of the Inception score.

    Images k in [0, 255] are (k − 128)/128 to the network, as in the published graph, and with the
    resize "torch" k/127.5 − 1, as in its PyTorch versions.

    Args:
      weights: the file pt_inception-2015-12-05-6726825d.pth, or its tensors as .npz or
        .safetensors.
      hash: the SHA-256 of that file, or its first 8 digits or more, where it is another.
      resize: how images are made 299 pixels a side, a name in `resizes`.
    """

    weights: str = ""
    hash: str = ""
    resize: str = ranged("tf1", choices=tuple(resizes))

    def validate(self) -> None:
        super().validate()
        check_given("inception", self.weights, self.hash, PUBLISHED)

    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> ImageExtractor:
        check_images("inception", train)
        network, whose = Inception(), "--features: inception: weights"
        takes = PUBLISHED.removesuffix(".pth").rpartition("-")[2]
        weights = read_weights(self.weights, whose, takes=takes, hash=self.hash)
        is_torch = self.resize == "torch"

        def apply(params: Any, images: Any) -> tuple[Any, Any]:
            x = images / 127.5 - 1 if is_torch else (images - 128) / 128
            out = called(network, params, x)
            return out.pool_3, jax.nn.softmax(out.logits_unbiased)

        return ImageExtractor(
            "inception",
            train,
            resize=self.resize,
            side=SIDE,
            apply=apply,
            params=params_of(weights, network, SIDE, name_of),
            dim=2048,
            num_classes=network.num_classes,
            protocol={"weights": weights.sha256, "logits": "unbiased"},
        )


def name_of(module: str) -> str:
    """A module's name in the file: "Mixed_5b/branch1x1/conv" is "Mixed_5b.branch1x1.conv"."""
    return module.replace("/", ".")


def check_given(name: str, weights: str, hash: str, published: str) -> None:
    """Stop features without their file, or with too short a hash.

    Raises:
      ValueError: there is none.
    """
    if not weights:
        raise ValueError(f"{name}: weights: got none, takes a file: {name}:weights=…/{published}")
    if hash and len(hash) < 8:
        raise ValueError(f"{name}: hash: got {hash!r}, takes 8 digits of a SHA-256, or more")
