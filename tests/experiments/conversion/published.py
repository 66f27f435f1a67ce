"""The published PyTorch layout written down once more, as a list: what a checkpoint holds."""

import collections
import pathlib
import pickle
import sys
import types
import zipfile
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

TINY = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (4,)}


class Tensor(NamedTuple):
    """name: as published. shape: there. ours: where it belongs, "conv_in/kernel"; None: nowhere.

    kind: how it lies: "conv", "point" (a 1×1 convolution that is a matrix here), "linear",
    "same", or "0", "1", "2", the thirds of queries, keys and values.
    """

    name: str
    shape: tuple[int, ...]
    ours: str | None
    kind: str


class Listed:
    """Builds the list, entry by entry."""

    def __init__(self, options: dict, size: int, channels: int):
        self.options, self.size, self.channels = options, size, channels
        self.nf, self.mults = options["nf"], options["ch_mult"]
        self.biggan = options.get("resblock", "biggan") == "biggan"
        self.strided = "Conv2d_0." if options.get("fir") else "Conv_0."
        self.output = options.get("progressive", "none")
        self.input = options.get("progressive_input", "none")
        self.conv = options.get("resamp_with_conv", True)
        self.timed = options.get("time_conditioned", True)
        self.index, self.tensors = 0, []

    def build(self) -> list[Tensor]:
        """All of it."""
        fourier = self.options.get("embedding") == "fourier"
        if fourier:
            ours = "time/fourier/frequencies" if self.timed else None
            self.tensors.append(Tensor("module.all_modules.0.W", (self.nf,), ours, "same"))
            self.index += 1
        if self.timed:
            self.linear("", "time/dense_0", 2 * self.nf if fourier else self.nf, 4 * self.nf)
            self.index += 1
            self.linear("", "time/dense_1", 4 * self.nf, 4 * self.nf)
            self.index += 1
        self.add_conv("", "conv_in", self.channels, self.nf)
        self.index += 1
        width, skips = self.encoder()
        self.residual("middle_block_0", width, width)
        self.attention("middle_attention", width)
        self.residual("middle_block_1", width, width)
        self.decoder(width, skips)
        return self.tensors

    def encoder(self) -> tuple[int, list[int]]:
        width, skips, pyramid = self.nf, [self.nf], self.channels
        for level, mult in enumerate(self.mults):
            for i in range(self.options["num_res_blocks"]):
                self.residual(f"down_{level}_block_{i}", width, mult * self.nf)
                width = mult * self.nf
                if self.size >> level in self.options["attn_resolutions"]:
                    self.attention(f"down_{level}_attention_{i}", width)
                skips.append(width)
            if level == len(self.mults) - 1:
                continue
            self.resample(f"down_{level}_resample", width)
            ours = f"down_{level}_pyramid"
            if self.input == "input_skip":
                self.add_conv("Conv_0.", f"{ours}/combine", self.channels, width, size=1)
                self.index += 1
                width *= 2 if self.options.get("progressive_combine") == "cat" else 1
            elif self.input == "residual":
                self.add_conv(self.strided, f"{ours}/down/conv", pyramid, width)
                self.index, pyramid = self.index + 1, width
            skips.append(width)
        return width, skips

    def decoder(self, width: int, skips: list[int]) -> None:
        pyramid = None
        for level in range(len(self.mults) - 1, -1, -1):
            for i in range(self.options["num_res_blocks"] + 1):
                out = self.mults[level] * self.nf
                self.residual(f"up_{level}_block_{i}", width + skips.pop(), out)
                width = out
            if self.size >> level in self.options["attn_resolutions"]:
                self.attention(f"up_{level}_attention", width)
            ours = f"up_{level}_pyramid"
            if self.output == "output_skip":
                self.head(f"{ours}/head", width, self.channels)
            elif self.output == "residual" and pyramid is None:
                self.head(f"{ours}/head", width, width)
            elif self.output == "residual":
                self.add_conv(self.strided, f"{ours}/up/conv", pyramid, width)
                self.index += 1
            pyramid = width
            if level > 0:
                self.resample(f"up_{level}_resample", width)
        if self.output != "output_skip":
            self.head("out", width, self.channels)

    def residual(self, ours: str, width: int, out: int, *, resamples: bool = False) -> None:
        self.norm("GroupNorm_0.", f"{ours}/norm_0", width)
        self.add_conv("Conv_0.", f"{ours}/conv_0", width, out)
        # A network without time has this all the same.
        self.linear("Dense_0.", f"{ours}/dense" if self.timed else None, 4 * self.nf, out)
        self.norm("GroupNorm_1.", f"{ours}/norm_1", out)
        self.add_conv("Conv_1.", f"{ours}/conv_1", out, out)
        if width != out or resamples:
            if self.biggan:
                self.add_conv("Conv_2.", f"{ours}/shortcut", width, out, size=1)
            else:
                self.nin("NIN_0.", f"{ours}/shortcut", width, out)
        self.index += 1

    def attention(self, ours: str, width: int) -> None:
        self.norm("GroupNorm_0.", f"{ours}/norm", width)
        for i in range(3):
            self.nin(f"NIN_{i}.", f"{ours}/qkv", width, width, third=str(i))
        self.nin("NIN_3.", f"{ours}/out", width, width)
        self.index += 1

    def resample(self, ours: str, width: int) -> None:
        if self.biggan:
            self.residual(ours, width, width, resamples=True)
            return
        if self.conv:
            self.add_conv(self.strided, f"{ours}/conv", width, width)
        self.index += 1

    def head(self, ours: str, width: int, out: int) -> None:
        self.norm("", f"{ours}/norm", width)
        self.index += 1
        self.add_conv("", f"{ours}/conv", width, out)
        self.index += 1

    def add_conv(self, theirs: str, ours: str, width: int, out: int, size: int = 3) -> None:
        kind = "conv" if size == 3 else "point"
        self.add(f"{theirs}weight", (out, width, size, size), f"{ours}/kernel", kind)
        self.add(f"{theirs}bias", (out,), f"{ours}/bias", "same")

    def linear(self, theirs: str, ours: str | None, width: int, out: int) -> None:
        self.add(f"{theirs}weight", (out, width), ours and f"{ours}/kernel", "linear")
        self.add(f"{theirs}bias", (out,), ours and f"{ours}/bias", "same")

    def nin(self, theirs: str, ours: str, width: int, out: int, third: str = "same") -> None:
        self.add(f"{theirs}W", (width, out), f"{ours}/kernel", third)
        self.add(f"{theirs}b", (out,), f"{ours}/bias", third)

    def norm(self, theirs: str, ours: str, width: int) -> None:
        self.add(f"{theirs}weight", (width,), f"{ours}/scale", "same")
        self.add(f"{theirs}bias", (width,), f"{ours}/bias", "same")

    def add(self, rest: str, shape: tuple[int, ...], ours: str | None, kind: str) -> None:
        name = f"module.all_modules.{self.index}.{rest}"
        self.tensors.append(Tensor(name, shape, ours, kind))


def listed(options: dict, size: int = 8, channels: int = 3) -> list[Tensor]:
    """What a published network of these options holds, in order."""
    return Listed(options, size, channels).build()


def checkpoint(tensors: list[Tensor], step: int = 5) -> dict:
    """A file's content: every number in it another one, small enough to compute with."""
    rng = np.random.default_rng(0)
    draw = lambda: {t.name: 0.1 * rng.standard_normal(t.shape, np.float32) for t in tensors}  # noqa: E731
    averages = [v for name, v in draw().items() if name != "module.all_modules.0.W"]
    return {
        "model": {"module.sigmas": np.geomspace(50, 0.01, 1000)} | draw(),
        "ema": {"decay": 0.999, "num_updates": step, "shadow_params": averages},
        "optimizer": {},
        "step": step,
    }


class _FloatStorage:
    """The name of PyTorch's, and which of a file's it is."""

    def __init__(self, key: str, size: int):
        self.key, self.size = key, size


def _rebuild_tensor_v2() -> None:
    """The name of PyTorch's."""


class _Pickler(pickle.Pickler):
    """Writes arrays as PyTorch does its tensors."""

    def __init__(self, file: Any):
        super().__init__(file, protocol=2)
        self.data: list[bytes] = []

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _FloatStorage):
            return "storage", _FloatStorage, obj.key, "cpu", obj.size
        return None

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        self.data.append(np.ascontiguousarray(obj, np.float32).tobytes())
        strides = tuple(int(np.prod(obj.shape[axis + 1 :])) for axis in range(obj.ndim))
        storage = _FloatStorage(str(len(self.data) - 1), obj.size)
        hooks: dict = collections.OrderedDict()
        return _rebuild_tensor_v2, (storage, 0, obj.shape, strides, False, hooks)


def save(path: pathlib.Path, content: Any) -> None:
    """Write a content as `torch.save` does, without PyTorch; arrays become tensors of float32."""
    names = {"torch": (_FloatStorage, "FloatStorage"), "torch._utils": (_rebuild_tensor_v2, None)}
    modules = {}
    for module, (named, name) in names.items():
        named.__module__, named.__qualname__ = module, name or named.__name__
        modules[module] = types.ModuleType(module)
        setattr(modules[module], named.__qualname__, named)
    with zipfile.ZipFile(path, "w") as archive, mock.patch.dict(sys.modules, modules):
        with archive.open("archive/data.pkl", "w") as file:
            pickler = _Pickler(file)
            pickler.dump(content)
        for key, data in enumerate(pickler.data):
            archive.writestr(f"archive/data/{key}", data)
