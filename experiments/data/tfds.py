"""Image sets of TensorFlow Datasets, read without TensorFlow.

That needs a set prepared in the array_record format, once, on any machine with TensorFlow. It is
found by its files, DATA_DIR/NAME[/CONFIG]/VERSION, so that no code of the set's is imported.
"""

import contextlib
import difflib
import importlib.util
import io
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.dataset import Dataset, Request, one_line, sources, split_rows
from experiments.data.images import ImageFile, read_images
from experiments.errors import UserError

VERSION = re.compile(r"\d+\.\d+\.\d+")


@sources.register("tfds")
def load_tfds(request: Request) -> Dataset:
    """Features `image` and, where there is one, `label`, of `tfds:NAME[:config][/version]`.

    TFDS_DATA_DIR is where it is looked for, ~/tensorflow_datasets without it. "test" is the set's
    test split, or else its validation split, or else held out of the train split.

    Raises:
      UserError: not prepared, not as array_record, unknown, or not a set of 8-bit images.
    """
    if importlib.util.find_spec("array_record") is None:
        raise UserError(
            "data.source: tfds needs array_record; install it: pip install array_record"
        )
    with _quiet():
        return _load(request, _find(request.argument))


def _load(request: Request, folder: Path) -> Dataset:
    """The split asked for of the set that was prepared in `folder`."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        _check(builder.info, folder)
        records = _records(builder, request, folder)
    except UserError:
        raise
    except Exception as error:  # whatever damaged metadata or a damaged record makes TFDS raise
        raise UserError(f"{folder}: cannot be read ({one_line(error)})") from error
    files = [
        ImageFile(f"{folder}: record {row}", io.BytesIO(record["image"]))
        for row, record in enumerate(records)
    ]
    values = read_images(files, request.image_size)
    features = builder.info.features
    if features["image"].shape[-1] == 3 and values.shape[-1] == 1:
        values = np.repeat(values, 3, axis=-1)  # a colour set, though this split is all grey
    labels = _labels(records, features)
    return Dataset(
        values=values,
        labels=labels,
        levels=256,
        source=request.source,
        split=request.split,
        classes=0 if labels is None else getattr(features["label"], "num_classes", None) or 0,
    )


def _find(argument: str) -> Path:
    """The folder where the set was prepared, in the newest version unless one is named."""
    name, *rest = re.split("[:/]", argument)
    versions = [part for part in rest if VERSION.fullmatch(part)]
    configs = [part for part in rest if part not in versions]
    if not name or "" in rest or len(versions) > 1 or len(configs) > 1:
        raise UserError(f"data.source: got 'tfds:{argument}'; takes tfds:NAME[:config][/version]")
    data_dir = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    found = _prepared(data_dir / name)
    if not found:
        raise UserError(_not_prepared(name, configs, data_dir))
    matching = _matching(found, configs, versions)
    if not matching:
        have = ", ".join("/".join(filter(None, key)) for key in sorted(found))
        raise UserError(f"data.source: no 'tfds:{argument}' in {data_dir}; prepared there: {have}")
    if len({config for config, _ in matching}) > 1:
        have = ", ".join(sorted({config for config, _ in matching}))
        raise UserError(
            f"data.source: 'tfds:{argument}' is prepared in several configs: {have}; "
            f"takes tfds:{name}:CONFIG"
        )
    newest = max(matching, key=lambda key: [int(number) for number in key[1].split(".")])
    return matching[newest]


def _prepared(root: Path) -> dict[tuple[str, str], Path]:
    """What is prepared of a set: (config, version) → folder, with "" for a set without configs."""
    plain = {("", path.parent.name): path.parent for path in root.glob("*/features.json")}
    configs = {
        (path.parent.parent.name, path.parent.name): path.parent
        for path in root.glob("*/*/features.json")
    }
    return {key: path for key, path in (plain | configs).items() if VERSION.fullmatch(key[1])}


def _matching(
    found: dict[tuple[str, str], Path], configs: list[str], versions: list[str]
) -> dict[tuple[str, str], Path]:
    """Those of `found` that have the config and the version, where one is named."""
    return {
        (config, version): path
        for (config, version), path in found.items()
        if config in (configs or [config]) and version in (versions or [version])
    }


def _not_prepared(name: str, configs: list[str], data_dir: Path) -> str:
    """The message for a set without a folder: how to make it, or which name was meant."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    if name in known:
        return (
            f"data.source: tfds:{name} is not prepared in {data_dir}; set TFDS_DATA_DIR, or, with "
            f"TensorFlow installed, run: tfds build {'/'.join([name, *configs])} "
            f"--file_format=array_record --data_dir={data_dir}"
        )
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"data.source: unknown TFDS data set {name!r}{hint} (not in {data_dir}, nor among the "
        f"{len(known)} of https://www.tensorflow.org/datasets/catalog)"
    )


def _check(info: Any, folder: Path) -> None:
    """Refuses what is not 8-bit images in the array_record format."""
    import tensorflow_datasets as tfds

    image = dict(info.features).get("image")
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        have = one_line(ValueError(info.features))
        raise UserError(f"{folder}: has no 8-bit image feature 'image', but {have}")
    formats = sorted(file_format.value for file_format in info.available_file_formats())
    if "array_record" not in formats:
        raise UserError(
            f"{folder}: is prepared as {', '.join(formats)}; takes array_record. With TensorFlow "
            f"installed, run: tfds convert_format --dataset_version_dir={folder} "
            "--out_file_format=array_record"
        )


def _records(builder: Any, request: Request, folder: Path) -> list[dict[str, Any]]:
    """The records of the split asked for, with their images still encoded."""
    import tensorflow_datasets as tfds

    nums = {name: info.num_examples for name, info in builder.info.splits.items()}
    wanted = ["train"] if request.split == "train" else ["test", "validation"]
    split = next((name for name in wanted if name in nums), "train")
    if not nums.get(split):
        raise UserError(f"{folder}: has no images to {request.split}; its splits: {nums}")
    rows = np.arange(nums[split])
    if not {"test", "validation"} & set(nums):
        rows = split_rows(nums["train"], request.split, request.holdout, str(folder))
    source = builder.as_data_source(
        split, decoders={"image": tfds.decode.SkipDecoding()}, file_format="array_record"
    )
    return source.__getitems__(rows.tolist())


def _labels(records: list[dict[str, Any]], features: Any) -> np.ndarray | None:
    """Feature `label` as int32 [N], or None where it is no class of each image."""
    label = dict(features).get("label")
    if label is None or label.shape != () or not np.issubdtype(label.np_dtype, np.integer):
        return None
    labels = np.array([record["label"] for record in records], np.int32)
    return None if labels.min() < 0 else labels  # TFDS marks an unlabelled image by −1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the warnings that TFDS logs (through absl) while it reads."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
