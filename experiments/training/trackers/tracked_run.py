"""The run that a tracker tracks: its folder, its name, its config, and what trackers call it."""

import dataclasses
import json
import pathlib
import uuid
from typing import Any

from experiments.runtime.atomic_files import write_atomically

_IDS = "trackers.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is opened with.

    Args:
      folder: the workdir.
      step: updates done before.
      config: every field by its path.
    """

    folder: pathlib.Path
    step: int
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def id(self, tracker: str) -> str | None:
        """What a tracker calls this run, kept in the workdir; None before it was told."""
        return self._ids().get(tracker)

    def keep_id(self, tracker: str, identity: str) -> str:
        """Let a run that resumes find what the tracker calls it."""
        content = json.dumps(self._ids() | {tracker: identity}, indent=2)
        write_atomically(self.folder / _IDS, content + "\n")
        return identity

    def own_id(self, tracker: str) -> str:
        """An id of our own making, the same whenever the run resumes."""
        return self.id(tracker) or self.keep_id(tracker, uuid.uuid4().hex[:12])

    def _ids(self) -> dict[str, str]:
        file = self.folder / _IDS
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
