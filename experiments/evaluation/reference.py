"""Statistics of a reference in a file: those that others have published, and those of one's own.

A published .npz has `mu` [D] and `sigma` [D, D], the mean and covariance of Inception features. It
says neither how many examples they are of nor which network saw them. Batches of samples as ADM's
have the images `arr_0` besides, or alone: then their features are extracted.

Of one's own has `num` and `protocol`, too: a JSON of all that the statistics follow from. Its
features are compared with those that are asked for, and others are refused.
"""

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments.errors import UserError, first_line
from experiments.evaluation.features import Extractor
from experiments.evaluation.sets import Moments, RunningMoments, blocks
from experiments.runtime.array_files import UNREADABLE
from experiments.runtime.atomic_files import file_at_once
from experiments.workdir.results import as_json

_READ, _WRITE = "--reference", "--make_reference"
_IMAGES = "arr_0"

# Images whose features are extracted at a time.
_BATCH = 256

# What float32 leaves of a covariance that was computed in it: it may be symmetric to so much.
_ASYMMETRY = 1e-4


def check_new(path: pathlib.Path) -> None:
    """Stop before the work whose result could not be written to a file.

    Raises:
      UserError: its name does not end in .npz, it is there, or its folder cannot be written.
    """
    if path.suffix != ".npz":
        raise UserError(f"{_WRITE}: got {path}, takes a name that ends in .npz")
    if path.exists():
        raise UserError(f"{_WRITE}: {path} exists, takes a new name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{_WRITE}: {path}: {error.strerror}, takes another folder") from error


def write_reference(
    path: pathlib.Path, moments: Moments, *, features: Mapping[str, Any], data: Mapping[str, Any]
) -> None:
    """Write statistics, with all that they follow from.

    Args:
      path: of the new file.
      moments: the statistics.
      features: the extractor's protocol.
      data: what the examples are, as JSON takes it.

    Raises:
      UserError: as of `check_new`.
    """
    check_new(path)
    protocol = json.dumps(as_json({"features": dict(features), "data": dict(data)}))
    with file_at_once(path) as file:
        np.savez(
            file,
            mu=moments.mean,
            sigma=moments.covariance,
            num=np.array(-1 if moments.num is None else moments.num),
            protocol=np.array(protocol),
        )


def read_reference(path: pathlib.Path, extractor: Extractor) -> Moments:
    """The statistics of a file, for comparison with features of an extractor.

    Args:
      path: an .npz file with `mu` and `sigma`, or with images `arr_0`.
      extractor: of the features that are compared with them.

    Raises:
      UserError: there is no such file, it has neither, or its features are others.
    """
    with _opened(path) as file:
        if not {"mu", "sigma"} <= set(file.files):
            if _IMAGES not in file.files:
                raise UserError(
                    f"{_READ}: {path}: has {', '.join(file.files)}, takes mu and sigma, or "
                    f"{_IMAGES}"
                )
            return _of_images(file[_IMAGES], extractor, f"{_READ}: {path}: {_IMAGES}")
        if "protocol" in file.files:
            _check_features(json.loads(str(file["protocol"]))["features"], extractor, path)
        moments = Moments(
            mean=np.atleast_1d(file["mu"]).astype(np.float64),
            covariance=np.atleast_2d(file["sigma"]).astype(np.float64),
            num=_num(file),
        )
    _check_moments(moments, extractor, path)
    return moments


def _num(file: Any) -> int | None:
    """How many examples the statistics are of; None where the file does not say."""
    if "num" in file.files and int(file["num"]) > 0:
        return int(file["num"])
    if _IMAGES not in file.files:
        return None
    # Its header says it; the images are gigabytes.
    with file.zip.open(f"{_IMAGES}.npy") as array:
        version = np.lib.format.read_magic(array)
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        return int(read(array)[0][0])


def _of_images(images: np.ndarray, extractor: Extractor, where: str) -> Moments:
    """The moments of images' features.

    Raises:
      UserError: they are no images, fewer than two, or the extractor does not take them.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) < 2:
        raise UserError(
            f"{where}: got {images.dtype} of shape {images.shape}, takes uint8 [N, H, W, C], N ≥ 2"
        )
    running = RunningMoments(extractor.dim)
    for block in blocks(len(images), _BATCH):
        running.add(extractor(images[block]).features)
    return running.moments()


def _check_features(stored: dict[str, Any], extractor: Extractor, path: pathlib.Path) -> None:
    """Stop statistics of other features.

    Raises:
      UserError: they are; names the first difference.
    """
    ours = as_json(extractor.protocol)
    for key in {**stored, **ours}:
        if stored.get(key) != ours.get(key):
            raise UserError(
                f"{_READ}: {path}: got features with {key} = {stored.get(key)!r}, takes "
                f"{ours.get(key)!r} as of --features"
            )


def _check_moments(moments: Moments, extractor: Extractor, path: pathlib.Path) -> None:
    """Stop what are no mean and covariance of such features.

    Raises:
      UserError: they are not.
    """
    dim, shape = extractor.dim, moments.covariance.shape
    if moments.mean.shape != (dim,) or shape != (dim, dim):
        raise UserError(
            f"{_READ}: {path}: got mu {moments.mean.shape} and sigma {shape}, takes ({dim},) and "
            f"({dim}, {dim}) of {extractor.protocol['name']} features"
        )
    if not (np.isfinite(moments.mean).all() and np.isfinite(moments.covariance).all()):
        raise UserError(f"{_READ}: {path}: got numbers that are not finite, takes none")
    largest = np.abs(np.diag(moments.covariance)).max()
    if np.abs(moments.covariance - moments.covariance.T).max() > _ASYMMETRY * largest:
        raise UserError(f"{_READ}: {path}: got a sigma that is not symmetric, takes a covariance")


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Any]:
    """An .npz file, and any error of reading it as the user's."""
    if not path.is_file():
        raise UserError(f"{_READ}: no file {str(path)!r}, takes an .npz file")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{_READ}: {path}: is no .npz file, takes what np.savez writes")
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except UserError:
        raise
    except UNREADABLE as e:
        raise UserError(
            f"{_READ}: {path}: damaged, or not of plain arrays ({first_line(e)})"
        ) from e
