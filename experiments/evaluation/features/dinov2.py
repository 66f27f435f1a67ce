"""Features of DINOv2: those of the Fréchet distance that agrees best with people.

Reference: Stein et al., "Exposing flaws of generative model evaluation metrics and their unfair
treatment of diffusion models" (2023).
"""

import dataclasses
import pathlib
from typing import Any

import jax.numpy as jnp

from experiments.data import Split
from experiments.evaluation.features.extractor import Features, features
from experiments.evaluation.features.images import ImageExtractor, check_images
from experiments.evaluation.features.inception import check_given
from experiments.evaluation.features.network import called
from experiments.evaluation.features.weights import params_of, read_weights
from experiments.evaluation.resize import resizes
from models.features.vision_transformer import VisionTransformer
from sde_lib import ranged

SIDE = 224
NETWORKS = {
    "vitl14": VisionTransformer(dim=1024, depth=24, num_heads=16),
    "vitb14": VisionTransformer(dim=768, depth=12, num_heads=12),
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNUSED = ("mask_token",)
"""What stands for the patches that training hides."""

_NAMES = {
    "class_token": "cls_token",
    "positions": "pos_embed",
    "patches": "patch_embed.proj",
    "norm_1": "norm1",
    "norm_2": "norm2",
    "qkv": "attn.qkv",
    "out": "attn.proj",
    "scale_1": "ls1",
    "scale_2": "ls2",
    "dense_1": "mlp.fc1",
    "dense_2": "mlp.fc2",
}


@features.register("dinov2")
@dataclasses.dataclass(frozen=True, kw_only=True)
class DINOv2Features(Features):
    """The class token of DINOv2 after its last norm, 1024 or 768 features.

    Args:
      weights: the file dinov2_vitl14_pretrain.pth, or its tensors as .npz or .safetensors.
      network: "vitl14", to publish, or "vitb14", of less than a third of the size.
      hash: the SHA-256 of the file, or its first 8 digits or more, if it is to be checked.
      resize: how images are made 224 pixels a side, a name in `resizes`.
    """

    weights: str = ""
    network: str = ranged("vitl14", choices=tuple(NETWORKS))
    hash: str = ""
    resize: str = ranged("pil", choices=tuple(resizes))

    def validate(self) -> None:
        super().validate()
        check_given("dinov2", self.weights, self.hash, f"dinov2_{self.network}_pretrain.pth")

    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> ImageExtractor:
        check_images("dinov2", train)
        network = NETWORKS[self.network]
        weights = read_weights(self.weights, "--features: dinov2: weights", hash=self.hash)

        def apply(params: Any, images: Any) -> tuple[Any, Any]:
            x = (images / 255 - jnp.asarray(MEAN)) / jnp.asarray(STD)
            return called(network, params, x), None

        return ImageExtractor(
            "dinov2",
            train,
            resize=self.resize,
            side=SIDE,
            apply=apply,
            params=params_of(weights, network, SIDE, name_of, UNUSED),
            dim=network.dim,
            num_classes=0,
            protocol={"network": self.network, "weights": weights.sha256},
        )


def name_of(module: str) -> str:
    """A module's or a parameter's name in the file: "block_3/qkv" is "blocks.3.attn.qkv"."""
    words = [_NAMES.get(word, word.replace("block_", "blocks.")) for word in module.split("/")]
    return ".".join(words)
