"""What NumPy raises where a file of arrays is none, or damaged."""

import zipfile
import zlib

UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""Errors of `np.load` and of reading what it has opened: a TypeError of one array for several."""
