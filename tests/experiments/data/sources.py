"""Data sources that tests write: `.npz` files, folders of images, sets of TFDS."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.errors import UserError


def save(tmp_path, **arrays) -> str:
    """An .npz file of these arrays, as a source."""
    np.savez(tmp_path / "set.npz", **arrays)
    return f"npz:{tmp_path}/set.npz"


def numbered(num: int, *shape: int) -> np.ndarray:
    """Images that all show their own number."""
    return np.broadcast_to(
        np.arange(num, dtype=np.uint8).reshape(-1, *[1] * len(shape)), (num, *shape)
    )


def draw(path, mode="L", size=(4, 4), fill=0, **options):
    """An image file of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, fill).save(path, **options)


def prepare(
    data_dir, name, splits, *, shape=(4, 4, 3), labels=True, file_format="array_record", **feature
):
    """A set as TFDS lays it out, made without TensorFlow.

    Args:
      name: NAME[/CONFIG]/VERSION.
      splits: {split: [(pixel array, label), ...]}.
      labels: whether there are any, of seven classes; or the names of the classes; or "numbers",
        which say of none how many there are.
    """
    import tensorflow_datasets as tfds
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    folder = data_dir / name
    folder.mkdir(parents=True)
    name = name.split("/")[0]
    image = tfds.features.Image(shape=shape, **feature)
    classes = {"names": labels} if isinstance(labels, list) else {"num_classes": 7}
    label = {"label": tfds.features.ClassLabel(**classes)} if labels else {}
    if labels == "numbers":
        label = {"label": tfds.features.Scalar(np.int64)}
    features = tfds.features.FeaturesDict({"image": image, **label})
    features.save_config(folder)
    serializer = ExampleSerializer(features.get_serialized_info())
    infos = []
    for split, examples in splits.items():
        path = folder / f"{name}-{split}.{file_format}-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for pixels, k in examples:
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG")
            example = {"image": png.getvalue(), **({"label": k} if labels else {})}
            writer.write(serializer.serialize_example(example))
        writer.close()
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        infos.append(
            {"name": split, "shardLengths": [str(len(examples))], "filepathTemplate": template}
        )
    info = {"name": name, "version": folder.name, "fileFormat": file_format, "splits": infos}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")


def examples(num, *shape):
    return [(image.copy(), k % 7) for k, image in enumerate(numbered(num, *shape))]


def refused(source, message, split="train", **options):
    """Asserts that the source is refused with one line that the pattern begins."""
    with pytest.raises(UserError) as caught:
        data.load(source, split, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert re.match(message, text), text
