"""Statistics of a data set in a file, with which samples are compared in its place."""

import os
import pathlib

from experiments.errors import UserError
from experiments.evaluation.against import Against
from experiments.evaluation.comparison import extractor_of, features_of_split
from experiments.evaluation.content import content_of, warnings_of
from experiments.evaluation.reference import check_new, write_reference
from experiments.evaluation.sets import Moments
from experiments.paths import expand


def make_reference(
    against: Against, file: str | os.PathLike, features: str | None, folder: pathlib.Path
) -> str:
    """Extract features of the reference, and write their mean and covariance.

    Args:
      against: has the reference.
      file: where to write: an .npz.
      features: NAME[:field=value,…]; None: what suits the data.
      folder: where features are kept, and what is made for them.

    Returns:
      What was written and where, and what to know of it, for a person to read.

    Raises:
      UserError: the file is there, the data cannot be read, or the features do not take them.
    """
    path, split = expand(file), against.reference
    if split is None or against.train is None:
        raise UserError("--make_reference: takes a data set, --workdir=DIR or --data=SOURCE")
    check_new(path)
    if split.num < 2:
        raise UserError(
            f"--make_reference: {split.source} has {split.num} example, takes 2 or more"
        )
    extractor = extractor_of(against, split, features, folder)
    examples = features_of_split(split, extractor, folder)
    moments = Moments.of(examples.features)
    write_reference(path, moments, features=extractor.protocol, data=content_of(split))
    line = (
        f"{path}: mean and covariance of {extractor.dim} features "
        f"({extractor.protocol['name']}) of {split.num} examples of {split.source} ({split.name})"
    )
    return "\n".join([line, *warnings_of(split)])
