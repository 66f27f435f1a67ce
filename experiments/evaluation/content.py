"""What a split holds, in a few facts by which its features are found again."""

from typing import Any

import numpy as np

from experiments.data import Split, absolute
from experiments.data import digest as digest_of_source
from experiments.data.folder_search import search
from experiments.workdir.results import digest

_NUM = 64
"""Examples that are looked at as they are read: they tell of a crop, a size or a background."""

_LOSSY = (".jpg", ".jpeg")


def content_of(split: Split) -> dict[str, Any]:
    """The source, the split, how many examples it has, and digests of them."""
    some = split.read(np.arange(0, split.num, max(1, split.num // _NUM))).values
    return {
        "source": absolute(split.source),
        "split": split.name,
        "num": split.num,
        "digest": digest_of_source(split),
        "examples_digest": digest(some),
    }


def warnings_of(split: Split) -> list[str]:
    """What to know of a split before its numbers are compared with others': JPEG files."""
    if split.source.partition(":")[0] != "folder":
        return []
    images = search(split.argument).images
    lossy = sum(path.suffix.lower() in _LOSSY for path in images)
    if not lossy:
        return []
    return [
        f"{split.source}: {lossy} of {len(images)} images are JPEG, whose losses metrics see: "
        "compare with samples that were compressed alike, or take PNG"
    ]
