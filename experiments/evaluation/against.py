"""What samples are compared with: a split of the data, or published statistics of one."""

import contextlib
import dataclasses
import pathlib

from experiments.data import WHOLE, Split, open_split
from experiments.data.source import OF_FILES
from experiments.errors import UserError
from experiments.workdir.trained_model import TrainedModel

SPLITS = ("train", "test", WHOLE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Against:
    """The data that samples are compared with.

    Args:
      train: whose values the samples have; what features are made for. None where samples are
        compared with statistics alone.
      test: the test split, where there is one.
      reference: what they are compared with; None where it is statistics.
      statistics: the file of these.
    """

    train: Split | None
    test: Split | None
    reference: Split | None
    statistics: pathlib.Path | None = None

    @classmethod
    def of_trained(
        cls, trained: TrainedModel, split: str, statistics: pathlib.Path | None
    ) -> "Against":
        """The data of a trained model.

        Args:
          trained: the model.
          split: "train" or "test".
          statistics: a file that takes the split's place; None for none.

        Raises:
          UserError: they cannot be opened, or have changed.
        """
        if split not in SPLITS[:2]:
            raise UserError(f"--split: got {split!r}, takes train or test")
        if statistics is not None:
            # Of an imported model the data may not be here, and statistics need none.
            with contextlib.suppress(UserError):
                test = trained.opened("test")
                return cls(train=trained.train, test=test, reference=None, statistics=statistics)
            return cls(train=trained.train, test=None, reference=None, statistics=statistics)
        train, test = trained.opened("train"), trained.opened("test")
        return cls(train=train, test=test, reference={"train": train, "test": test}[split])

    @classmethod
    def of_source(
        cls, source: str | None, split: str | None, statistics: pathlib.Path | None
    ) -> "Against":
        """The data of a source.

        Args:
          source: its name; None where there are statistics alone.
          split: "train", "test" or "all"; None: all, of an npz or a folder, else "train".
          statistics: as of `of_trained`.

        Raises:
          UserError: there is neither, or it cannot be opened.
        """
        if source is None:
            if statistics is None:
                raise UserError("--data: not given, takes --data=SOURCE or --reference=FILE")
            return cls(train=None, test=None, reference=None, statistics=statistics)
        if split is None:
            split = WHOLE if source.partition(":")[0] in OF_FILES else "train"
        if split not in SPLITS:
            raise UserError(f"--split: got {split!r}, takes {', '.join(SPLITS)}")
        try:
            opened = open_split(source, split)
            train = opened if split == WHOLE else open_split(source, "train")
            test = None if split == WHOLE else open_split(source, "test")
        except UserError as error:
            raise UserError(f"--data: {str(error).removeprefix('data.source: ')}") from error
        reference = None if statistics else opened
        return cls(train=train, test=test, reference=reference, statistics=statistics)
