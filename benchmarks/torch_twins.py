"""The networks of `benchmarks.networks` in PyTorch: of the same layers, widths and depths."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import nn
from torch.nn import functional

from benchmarks.timing import seconds


class Passed(nn.Module):
    """In the place of a layer that ours does not have."""

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """The same."""
        return x


class UNet(nn.Module):
    """A diffusers UNet2DModel, called as network(x, c)."""

    def __init__(self, model: UNet2DModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        return self.model(x, c, return_dict=False)[0]


def ddpmpp(nf: int, num_res_blocks: int, size: int) -> nn.Module:
    """DDPM++: BigGAN resampling, attention at 16 × 16, once in the decoder."""
    down, up = "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
    model = UNet2DModel(
        sample_size=size,
        block_out_channels=(nf, 2 * nf, 2 * nf, 2 * nf),
        layers_per_block=num_res_blocks,
        down_block_types=(down, "AttnDownBlock2D", down, down),
        up_block_types=(up, up, "AttnUpBlock2D", up),
        downsample_type="resnet",
        upsample_type="resnet",
        attention_head_dim=2 * nf,
        norm_eps=1e-6,
        freq_shift=1,
    )
    attentions: Any = model.up_blocks[2].attentions
    for i in range(num_res_blocks):
        attentions[i] = Passed()
    return UNet(model)


def ncsnpp(nf: int, num_res_blocks: int, size: int) -> nn.Module:
    """NCSN++: FIR resampling, the image into and out of every level, Fourier features."""
    model = UNet2DModel(
        sample_size=size,
        block_out_channels=(nf, 2 * nf, 2 * nf, 2 * nf),
        layers_per_block=num_res_blocks,
        down_block_types=("SkipDownBlock2D", "AttnSkipDownBlock2D", *["SkipDownBlock2D"] * 2),
        up_block_types=(*["SkipUpBlock2D"] * 2, "AttnSkipUpBlock2D", "SkipUpBlock2D"),
        mid_block_scale_factor=2**0.5,
        time_embedding_type="fourier",
        attention_head_dim=2 * nf,
        norm_eps=1e-6,
    )
    return UNet(model)


def modulated(h: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Adaptive layer norm."""
    return functional.layer_norm(h, h.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    """Of the diffusion transformer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.adaln = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp_0 = nn.Linear(width, 4 * width)
        self.mlp_1 = nn.Linear(4 * width, width)

    def forward(self, h: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """[B, N, width] → [B, N, width]."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaln(e)[:, None].chunk(6, -1)
        h = h + gate1 * self.attend(modulated(h, scale1, shift1))
        hidden = functional.gelu(self.mlp_0(modulated(h, scale2, shift2)), approximate="tanh")
        return h + gate2 * self.mlp_1(hidden)

    def attend(self, h: torch.Tensor) -> torch.Tensor:
        """By PyTorch's own kernel."""
        split = (*h.shape[:2], self.heads, -1)
        query, key, value = (part.view(split).transpose(1, 2) for part in self.qkv(h).chunk(3, -1))
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.out(seen.transpose(1, 2).reshape(h.shape))


class DiT(nn.Module):
    """Patches by a convolution, blocks, and back."""

    def __init__(self, width: int, depth: int, heads: int, patch: int, size: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.positions = nn.Parameter(torch.zeros((size // patch) ** 2, width))
        self.time = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.adaln = nn.Linear(width, 2 * width)
        self.unpatch = nn.ConvTranspose2d(width, 3, patch, patch)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] → [B, 3, H, W]."""
        h = self.patches(x)
        grid = h.shape
        h = h.flatten(2).transpose(1, 2) + self.positions
        frequencies = 1e-4 ** torch.linspace(0, 1, 128, device=c.device)
        angles = c[:, None] * frequencies
        e = functional.silu(self.time(torch.cat([angles.sin(), angles.cos()], -1)))
        for block in self.blocks:
            h = block(h, e)
        shift, scale = self.adaln(e)[:, None].chunk(2, -1)
        return self.unpatch(modulated(h, scale, shift).transpose(1, 2).reshape(grid))


def dit(width: int, depth: int, heads: int, patch: int, size: int) -> nn.Module:
    """The stack."""
    return DiT(width, depth, heads, patch, size)


class Timed:
    """A network with its forward evaluation and its training step, eager or compiled."""

    def __init__(self, network: nn.Module, batch: int, size: int, *, compiled: bool) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network: Any = network.to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=2e-4, fused=True)
        images = torch.randn(2, batch, 3, size, size, device=self.device)
        self.x, self.target = (
            image.contiguous(memory_format=torch.channels_last) for image in images
        )
        self.c = torch.rand(batch, device=self.device) + 0.1
        self.called = torch.compile(self.network) if compiled else self.network

    def parameters(self) -> int:
        """Their number."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def forward(self) -> float:
        """Seconds."""
        with torch.inference_mode():
            return self._seconds(self._apply)

    def step(self) -> float:
        """Seconds."""

        def run() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            (self._apply().float() - self.target).square().mean().backward()
            self.optimizer.step()

        return self._seconds(run)

    def _apply(self) -> torch.Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            return self.called(self.x, self.c)

    def _seconds(self, run: Callable[[], Any]) -> float:
        def finished() -> None:
            run()
            if self.device == "cuda":
                torch.cuda.synchronize()

        return seconds(finished)
