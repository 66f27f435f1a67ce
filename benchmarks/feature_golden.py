"""Reference values of networks of features and of resizes, and files of PyTorch, for the tests.

    python -m benchmarks.feature_golden tests/golden grace_hopper.jpg

under a Python as of `feature_twins`, with matplotlib's photograph. It writes
features.npz, tensors.pth and tensors_legacy.pth.
"""

import collections
import json
import pathlib
import sys
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmarks.feature_tensors import random_tensor
from benchmarks.feature_twins import ViT, efficientnet, published_inception, randomised


def shapes(network: nn.Module) -> np.ndarray:
    """The names and shapes of a network's tensors, as JSON."""
    return np.asarray(json.dumps({k: list(v.shape) for k, v in network.state_dict().items()}))


def images(name: str, *shape: int) -> torch.Tensor:
    """Random images [B, 3, H, W] of some size around 0."""
    return torch.tensor(random_tensor(name, shape)) * 3


def inception() -> dict[str, np.ndarray]:
    """The outputs for one image of 107 pixels a side, the least that leaves 2 × 2 at the end."""
    from pytorch_fid import inception as published

    network = published_inception()
    published.fid_inception_v3 = lambda: network
    whole = published.InceptionV3([0, 1, 2, 3], resize_input=False, normalize_input=False).eval()
    pool_1, pool_2, mixed_6e, pool_3 = whole(images("inception", 1, 3, 107, 107))
    return {
        "shapes": shapes(network),
        "pool_1": pool_1[0, :, :2, -2:].numpy(),
        "pool_2": pool_2[0, :, :2, -2:].numpy(),
        "mixed_6e": mixed_6e[0, :, :2, -2:].numpy(),
        "pool_3": pool_3[0, :, 0, 0].numpy(),
        "logits": network.fc(pool_3[..., 0, 0])[0].numpy(),
    }


def vit() -> dict[str, np.ndarray]:
    """The class tokens of a small transformer for images of 3 × 4 patches."""
    network = randomised(ViT(16, 2, 2, patch=4, grid=5))
    return {
        "shapes": shapes(network),
        "class_token": network(images("vit", 2, 3, 12, 16)).numpy(),
    }


def of_photograph(path: str) -> dict[str, np.ndarray]:
    """Of a photograph as clean-fid would resize it to 224 pixels."""
    from cleanfid.resize import make_resizer

    image = np.asarray(Image.open(path).convert("RGB"))
    cleaned = make_resizer("PIL", False, "bicubic", (224, 224))(image)
    found = efficientnet(torch.tensor(cleaned)[None].permute(0, 3, 1, 2))
    return {name: tensor[0].numpy() for name, tensor in found.items()}


def resizes() -> dict[str, np.ndarray]:
    """Of a noise image of 7 × 5 pixels, 11 pixels a side and 3."""
    from cleanfid.resize import make_resizer
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    image = np.random.RandomState(0).randint(0, 256, (7, 5, 3)).astype(np.uint8)
    given = torch.tensor(image)[None].permute(0, 3, 1, 2).float()
    found = {"image": image}
    for side in (11, 3):
        size = (side, side)
        made = {
            "tf1": interpolate_bilinear_2d_like_tensorflow1x(given, size, align_corners=False),
            "torch": functional.interpolate(given, size, mode="bilinear", align_corners=False),
        }
        for name, resized in made.items():
            found[f"{name}/{side}"] = resized[0].permute(1, 2, 0).numpy()
        found[f"clean/{side}"] = make_resizer("PIL", False, "bicubic", size)(image)
        found[f"pil/{side}"] = make_resizer("PIL", True, "bicubic", size)(image)
    return found


def tensors() -> dict[str, object]:
    """A checkpoint of tensors of several kinds, two of them views of one storage."""
    whole = torch.arange(12.0).reshape(3, 4)
    state = collections.OrderedDict(
        {
            "float": whole,
            "columns": whole.t()[1:3],
            "half": torch.tensor([1.5, -2.0]).half(),
            "bfloat16": torch.tensor([1.5, -2.0]).bfloat16(),
            "long": torch.tensor(7),
            "parameter": nn.Parameter(torch.tensor([[1.0, 2.0]])),
            "empty": torch.zeros(0, 3),
        }
    )
    return {
        "model": state,
        "shadow": [whole[0], whole[1]],
        "optimizer": {"param_groups": [{"lr": np.float64(2e-4), "betas": (0.9, 0.999)}]},
        "epoch": 3,
        "words": ["a", None],
    }


@torch.no_grad()
def main(folder: pathlib.Path, photograph: str) -> None:
    """Write the files."""
    torch.save(tensors(), folder / "tensors.pth")
    torch.save(tensors(), folder / "tensors_legacy.pth", _use_new_zipfile_serialization=False)
    parts = {
        "inception": inception(),
        "vit": vit(),
        "efficientnet": of_photograph(photograph),
        "resize": resizes(),
    }
    arrays: dict[str, Any] = {
        f"{part}/{name}": found[name] for part, found in parts.items() for name in found
    }
    np.savez_compressed(folder / "features.npz", **arrays)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
