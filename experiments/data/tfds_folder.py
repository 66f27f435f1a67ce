"""Where a set of TensorFlow Datasets was prepared.

It is found by its files, DATA_DIR/NAME[/CONFIG]/VERSION, so that no code of the set's is imported.
"""

import difflib
import os
import re
from pathlib import Path

from experiments.errors import UserError
from experiments.paths import expand

VERSION = re.compile(r"\d+\.\d+\.\d+")


def find_prepared(argument: str) -> Path:
    """The folder of `NAME[:config][/version]`, of the newest version unless one is named.

    Raises:
      UserError: it is not prepared, or is in several configs.
    """
    name, *rest = re.split("[:/]", argument)
    versions = [part for part in rest if VERSION.fullmatch(part)]
    configs = [part for part in rest if part not in versions]
    if not name or "" in rest or len(versions) > 1 or len(configs) > 1:
        raise UserError(f"data.source: got 'tfds:{argument}'; takes tfds:NAME[:config][/version]")
    data_dir = expand(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
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
