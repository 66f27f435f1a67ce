"""Image sets of TensorFlow Datasets, read without TensorFlow.

That needs a set prepared in the array_record format, once, on any machine with TensorFlow.
"""

import contextlib
import dataclasses
import importlib.util
import io
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.codec import PixelCodec
from experiments.data.decoding import Decoding, ImageFile, decode_image
from experiments.data.digests import digests, of_files
from experiments.data.images import decode_batch
from experiments.data.parallel import MANY
from experiments.data.source import HELD_OUT, Request, one_line, sources, split_rows
from experiments.data.split import Batch, Reader, Split, read_in_threads
from experiments.data.tfds_folder import find_prepared
from experiments.errors import UserError


@sources.register("tfds")
def open_tfds(request: Request) -> Split:
    """Features `image` and, where there is one, `label`, of `tfds:NAME[:config][/version]`.

    TFDS_DATA_DIR is where it is looked for, ~/tensorflow_datasets without it. "test" is the first
    split of `HELD_OUT` that the set has, or else held out of the train split. The first record
    tells whether the images have labels.

    Raises:
      UserError: not prepared, not as array_record, unknown, or not a set of 8-bit images; as far as
        the metadata and the first record tell.
    """
    records, rows = _open(request)
    first = records.read(rows[:1])
    (file,) = _files(records, rows[:1], first)
    decoding = Decoding.of(request)
    height, width, channels = decode_image(file, decoding).shape
    # A colour set stays one, though its images may be grey.
    shape = (height, width, channels if records.channels == 1 else max(channels, 3))
    labelled = _are_whole(_labels(records, first))
    return Split(
        reader=_RecordReader(records, rows, file.name, labelled, decoding, shape),
        shape=shape,
        codec=PixelCodec(256),
        num_classes=_count_classes(records, rows) if labelled else 0,
        class_names=records.class_names if labelled else (),
        crops=request.image_size is not None,
    )


@digests.register("tfds")
def digest_tfds(data: Split) -> str:
    """The digest of all the files of the set."""
    folder = find_prepared(data.argument)
    return of_files(folder, sorted(path for path in folder.rglob("*") if path.is_file()))


class _Records:
    """The records behind a split, in random access, with their images still encoded.

    Where it is unpickled, in a worker process, it is opened again.

    Args:
      folder: where the set was prepared.
      split: "train" or "test", as it was asked for.
    """

    def __init__(self, folder: Path, split: str):
        import tensorflow_datasets as tfds

        self.folder, self.split = folder, split
        with _reading(folder), _quiet():
            builder = tfds.builder_from_directory(folder)
            _check(builder.info, folder)
            nums = {name: info.num_examples for name, info in builder.info.splits.items()}
            name = _split_name(nums, split, folder)
            self.num, self.has_splits = nums[name], bool(set(HELD_OUT) & set(nums))
            self._source = builder.as_data_source(
                name, decoders={"image": tfds.decode.SkipDecoding()}, file_format="array_record"
            )
        features = builder.info.features
        self.channels, self.label = features["image"].shape[-1], dict(features).get("label")
        self.num_classes: int | None = getattr(self.label, "num_classes", None)
        self.class_names = tuple(getattr(self.label, "names", ())) if self.num_classes else ()

    def __reduce__(self) -> tuple:
        return _Records, (self.folder, self.split)

    def read(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """Some of the records, each with the features `image` and, maybe, `label`."""
        with _reading(self.folder):
            return self._source.__getitems__(rows.tolist())


@dataclasses.dataclass(frozen=True)
class _RecordReader(Reader):
    """Decodes the images of records.

    Args:
      records: those that the split is part of.
      rows: int [N], the records of the split.
      first: the name of a record whose image has the shape.
      labelled: whether to read labels.
      decoding: how.
      shape: of an image.
    """

    records: _Records
    rows: np.ndarray
    first: str
    labelled: bool
    decoding: Decoding
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        batch = self._decode(rows, places)
        if self.labelled and not _are_whole(batch.labels):
            raise UserError(
                f"{self.records.folder}: has images without a label; takes all or none with one"
            )
        return batch

    def load(self) -> Batch:
        """Without labels where one of the images has none."""
        batch = read_in_threads(self._decode, len(self))
        return batch if _are_whole(batch.labels) else batch._replace(cond=None)

    def _decode(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        """Images, and labels that may be −1."""
        rows = self.rows[rows]
        read = self.records.read(rows)
        files = _files(self.records, rows, read)
        values = decode_batch(files, self.decoding, self.shape, self.first, places)
        return Batch.of(values, _labels(self.records, read) if self.labelled else None)


def _open(request: Request) -> tuple[_Records, np.ndarray]:
    """The records that the split asked for is part of, and its rows among them."""
    if importlib.util.find_spec("array_record") is None:
        raise UserError(
            "data.source: tfds needs array_record; install it: pip install array_record"
        )
    records = _Records(find_prepared(request.argument), request.split)
    if records.has_splits:
        return records, np.arange(records.num)
    where = str(records.folder)
    return records, split_rows(records.num, request.split, request.holdout, where)


def _files(records: _Records, rows: np.ndarray, read: list[dict[str, Any]]) -> list[ImageFile]:
    """The images of records that were read, each named by its row."""
    return [
        ImageFile(f"{records.folder}: record {row}", io.BytesIO(record["image"]))
        for row, record in zip(rows, read, strict=True)
    ]


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


def _split_name(nums: dict[str, int], split: str, folder: Path) -> str:
    """The set's own split that stands for the one asked for."""
    wanted = ["train"] if split == "train" else HELD_OUT
    name = next((name for name in wanted if name in nums), "train")
    if not nums.get(name):
        raise UserError(f"{folder}: has no images to {split}; its splits: {nums}")
    return name


def _labels(records: _Records, read: list[dict[str, Any]]) -> np.ndarray | None:
    """Feature `label` as int32 [B], −1 where an image has none; None where it is no class."""
    label = records.label
    if label is None or label.shape != () or not np.issubdtype(label.np_dtype, np.integer):
        return None
    return np.array([record["label"] for record in read], np.int32)


def _are_whole(labels: np.ndarray | None) -> bool:
    """Whether there is a label for each image."""
    return labels is not None and bool(labels.min() >= 0)


def _count_classes(records: _Records, rows: np.ndarray) -> int:
    """The number of classes of a set with labels: as it says, or else by reading them all."""
    if records.num_classes:
        return records.num_classes
    parts = np.array_split(rows, math.ceil(len(rows) / MANY))
    labels = [_labels(records, records.read(part)) for part in parts]
    return 1 + max(int(part.max()) for part in labels if part is not None)


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Any error of reading a set as the user's."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever damaged metadata or a damaged record makes TFDS raise
        raise UserError(f"{folder}: cannot be read ({one_line(error)})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the warnings that TFDS logs (through absl) while it opens a set."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
