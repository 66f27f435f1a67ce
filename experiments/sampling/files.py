"""What the command `sample` writes: all samples, what decided them, and how they look.

NAME.npz     all samples: `images` uint8 grey levels [N, H, W, C], or `points` float32 [N, ...] of
             continuous data; `evaluations` [N]; where the model is conditional `labels` [N] or
             `cond` [N, D]; where asked for `log_prob` [N], in nats of the states in model units,
             with its standard error `log_prob_error`
NAME.json    the protocol, and what it has cost
NAME.png     at most 100 images, or all points
NAME.gif     the way there, where asked for
"""

import math
from typing import Any

import numpy as np

from experiments.data import Split
from experiments.display.pictures import image_grid, plot, save_gif, save_png
from experiments.errors import UserError
from experiments.runtime.atomic_files import file_at_once
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.results import JSON, Result, digest
from experiments.workdir.trained_model import TrainedModel
from samplers import Samples
from sde_lib import Condition

_SHOWN = 100
"""At most so many images are in a picture: ten rows of ten are seen at a glance."""

_MIN_OF_A_CLASS = 4
"""Rows of fewer samples, one a class, make a picture that is high and narrow."""

_MAX_CHANNELS = 4
"""Examples [H, W, C] with more channels are no images, but points."""


def protocol(
    sampler: BatchedSampler,
    trained: TrainedModel,
    *,
    seed: int,
    num: int,
    latents: np.ndarray | None = None,
    cond: Condition | None = None,
    frames: int = 0,
) -> dict[str, Any]:
    """Everything that samples follow from; of arrays, digests.

    Args:
      sampler: what draws them.
      trained: the model's origin.
      seed: sample i depends on (seed, i) alone.
      num: how many there are.
      latents: what they start from, where it is not drawn.
      cond: what each is conditioned on; None for nothing.
      frames: how many an animation has; 0 for none.
    """
    return {
        **trained.protocol,
        **sampler.protocol(),
        "seed": seed,
        "num": num,
        "latents_digest": None if latents is None else digest(latents),
        **({} if cond is None else _conditions(cond)),
        "frames": frames,
    }


def _conditions(cond: Condition) -> dict[str, Any]:
    """What samples are conditioned on, where it is little, and a digest of the whole."""
    said: dict[str, Any] = {"condition_digest": digest(cond)}
    if cond.label is not None:
        said["classes"] = list(dict.fromkeys(np.asarray(cond.label).tolist()))
    return said


def words(sampler: BatchedSampler, trained: TrainedModel, sde: str | None, seed: int) -> str:
    """The words of a file's name that people look for.

    Args:
      sampler: what draws the samples.
      trained: the model's origin.
      sde: another SDE that they are drawn under, as the flag says it.
      seed: of the samples.
    """
    config = sampler.config
    said = [
        f"step{trained.step}",
        config.solver,
        *sampler.method.words(),
        sde,
        None if trained.parameters == "ema" else trained.parameters,
        None if sampler.guide is None else f"classifier{sampler.guide.scale:g}",
        None if config.guidance == 1 else f"guidance{config.guidance:g}",
        "log_prob" if config.log_prob else None,
        None if config.denoise else "no_denoise",
        f"seed{seed}",
    ]
    return "-".join(word for word in said if word)


def suffixes(frames: int) -> tuple[str, ...]:
    """The suffixes of the files that are written beside the JSON; an animation has frames."""
    return (".npz", ".png", ".gif") if frames else (".npz", ".png")


def save(
    samples: Samples,
    cond: Condition | None,
    seconds: float,
    dataset: Split,
    class_names: tuple[str, ...],
    by_class: bool,
    result: Result,
    about: dict[str, str],
) -> None:
    """Write the files: arrays first, so that nothing that happens to a picture takes them along.

    Args:
      samples: what was drawn, as NumPy arrays [N, ...].
      cond: what it is conditioned on; None for nothing.
      seconds: how long it took.
      dataset: of whose values they are, and what they are compared with.
      class_names: of the labels; () where they have none.
      by_class: whether a picture has a row for each class.
      result: its name and protocol.
      about: goes into the picture's metadata.
    """
    with file_at_once(result.file(".npz")) as file:
        np.savez_compressed(file, **_arrays(samples, cond, dataset, class_names))
    calls = samples.evaluations
    result.record(
        {
            "samples": len(samples.x),
            "evaluations_mean": float(calls.mean()),
            "evaluations_max": int(calls.max()),
            "seconds": round(seconds, 2),
        }
    )
    labels = cond.label if cond is not None and by_class else None
    save_png(result.file(".png"), picture(samples.x, dataset, labels), **about)
    if samples.path is not None:
        frames = [*np.moveaxis(np.asarray(samples.path), 1, 0), samples.x]
        save_gif(result.file(".gif"), [picture(frame, dataset, labels) for frame in frames])


def _arrays(
    samples: Samples, cond: Condition | None, dataset: Split, class_names: tuple[str, ...]
) -> dict[str, Any]:
    content = dataset.codec.arrays(samples.x)
    if cond is not None and cond.label is not None:
        content["labels"] = cond.label
        if class_names:
            content["label_names"] = np.asarray(class_names)
    if cond is not None and cond.vector is not None:
        content["cond"] = cond.vector * np.asarray(dataset.cond_std) + np.asarray(dataset.cond_mean)
    for name in ("log_prob", "log_prob_error", "finished", "evaluations"):
        if getattr(samples, name) is not None:
            content[name] = getattr(samples, name)
    return content


def picture(x: Any, dataset: Split, labels: Any = None) -> np.ndarray:
    """Samples in model units as one picture uint8 [., ., 3]: of images a grid, else a plot.

    Continuous images are black where the data, if they are here, are least, and white where most.

    Args:
      x: the samples [N, ...], of which at most 100 are shown where they are images.
      dataset: of whose values they are, and what they are compared with.
      labels: their classes [N], which have a row each; None for none.
    """
    codec, columns = dataset.codec, None
    if _are_images(dataset):
        shown, columns = _shown(len(x), labels)
        x = np.asarray(x)[shown]
    values = np.asarray(codec.decode(x))
    if codec.bin_width is not None:
        return image_grid(codec.brightness(values), columns=columns)
    reference = _some(dataset, len(values))
    if _are_images(dataset):
        return image_grid(codec.brightness(values, reference), columns=columns)
    flat = values.reshape(len(values), -1)
    return plot(flat, reference=None if reference is None else reference.reshape(-1, flat.shape[1]))


def _shown(num: int, labels: Any) -> tuple[np.ndarray, int | None]:
    """The samples that a picture shows, and its columns: a row a class, where that suits."""
    labels = np.zeros(num, int) if labels is None else np.asarray(labels)
    classes, counts = np.unique(labels, return_counts=True)
    columns = min(counts.min(), _SHOWN // len(classes))
    if len(classes) == 1 or columns < _MIN_OF_A_CLASS:
        return np.arange(min(num, _SHOWN)), None
    return np.concatenate([np.flatnonzero(labels == c)[:columns] for c in classes]), int(columns)


def _are_images(dataset: Split) -> bool:
    """Whether examples are [H, W, C], of grey levels or continuous."""
    return len(dataset.shape) == 3 and dataset.shape[-1] <= _MAX_CHANNELS


def _some(dataset: Split, num: int) -> np.ndarray | None:
    """Examples [num or fewer, ...]; None where the data are not here: samples need none."""
    try:
        return dataset.read(np.arange(min(num, dataset.num))).values
    except UserError:
        return None


def summary(samples: Samples, seconds: float, result: Result) -> str:
    """What was made and where, in two lines."""
    num, calls = len(samples.x), samples.evaluations
    spread = (
        f"{calls.mean():.0f}"
        if calls.min() == calls.max()
        else (f"{calls.mean():.0f} ({calls.min()}–{calls.max()})")
    )
    rate = num / max(seconds, math.ulp(1.0))
    late = 0 if samples.finished is None else int(np.sum(~samples.finished))
    unfinished = f"; {late} have not reached the end: see `finished`" if late else ""
    return (
        f"{num} samples in {seconds:.1f} s ({rate:.1f}/s), "
        f"{spread} network evaluations each{unfinished}\n{_files(result)}"
    )


def drawn_before(result: Result) -> str:
    """That these samples are there, in two lines."""
    return f"drawn before, with the same protocol; --seed draws others\n{_files(result)}"


def _files(result: Result) -> str:
    """Where the pictures and arrays are."""
    written = suffixes(result.protocol["frames"])
    return ", ".join(str(result.file(suffix)) for suffix in (*written, JSON))
