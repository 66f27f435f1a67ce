"""JAX's cache of compiled programs, and what a kill leaves in it.

JAX writes an entry in place. One that a kill has cut short would be read, warned about and compiled
anew at every launch: so entries that are newer than the last check are decompressed once, and those
that end early are removed.
"""

import contextlib
import importlib
import pathlib
import zlib
from typing import Any

_CHECKED = ".checked"


def repair(folder: pathlib.Path) -> list[str]:
    """Remove the entries that were cut short, and return their names."""
    if not folder.is_dir():
        return []
    try:
        return _repair(folder)
    except OSError:  # a cache that is only read, or that another process tidies
        return []


def _repair(folder: pathlib.Path) -> list[str]:
    stamp = folder / _CHECKED
    since = stamp.stat().st_mtime if stamp.is_file() else 0.0
    # Before looking: what is written meanwhile is checked the next time.
    stamp.touch()
    broken = [
        entry
        for entry in folder.glob("*-cache")
        # Clocks of file systems are coarse.
        if entry.stat().st_mtime >= since - 2 and not _whole(entry)
    ]
    for entry in broken:
        entry.unlink(missing_ok=True)
    return [entry.name for entry in broken]


def _whole(entry: pathlib.Path) -> bool:
    """Whether an entry decompresses to its end: zstd if it is there, else zlib, as JAX has it."""
    data = entry.read_bytes()
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return _whole_zstd(data)
    stream = zlib.decompressobj()
    try:
        stream.decompress(data)
    except zlib.error:
        return False
    return stream.eof


def _whole_zstd(data: bytes) -> bool:
    """By the module that JAX takes: Python's own from 3.14 on, else that of the package."""
    for name in ("compression.zstd", "zstandard"):
        with contextlib.suppress(ImportError):
            zstd: Any = importlib.import_module(name)
            break
    else:  # written by another installation: JAX does not read it here either
        return True
    decompressor = zstd.ZstdDecompressor()
    stream = decompressor.decompressobj() if name == "zstandard" else decompressor
    try:
        stream.decompress(data)
    except zstd.ZstdError:
        return False
    return stream.eof
