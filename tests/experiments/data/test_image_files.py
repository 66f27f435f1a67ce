"""Folders of image files: what is read, what is refused, and what is left out and said."""

import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from experiments import data
from experiments.errors import UserError
from tests.experiments.data.sources import draw

HELD_OUT = ["val", "valid", "validation", "test", "Test", "VAL"]


def pixels(source: str, split: str = "all", **options) -> list[int]:
    """The first value of every image, in order."""
    return data.load(source, split, **options).values[:, 0, 0, 0].tolist()


# --- splits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HELD_OUT)
def test_what_is_held_out_is_the_test_split(tmp_path, name):
    for k, path in enumerate(["train/cat/a.png", "train/dog/b.png", f"{name}/dog/c.png"]):
        draw(tmp_path / path, fill=k)
    train, test = (data.load(f"folder:{tmp_path}", split) for split in ("train", "test"))
    assert train.values[:, 0, 0, 0].tolist() == [0, 1]
    assert train.labels.tolist() == [0, 1]
    assert test.values[:, 0, 0, 0].tolist() == [2]
    assert test.labels.tolist() == [1]
    assert train.num_classes == test.num_classes == 2


def test_all_that_is_held_out_is_the_test_split(tmp_path):
    for k, path in enumerate(["train/a.png", "val/a.png", "test/a.png"]):
        draw(tmp_path / path, fill=k)
    assert pixels(f"folder:{tmp_path}", "train") == [0]
    assert sorted(pixels(f"folder:{tmp_path}", "test")) == [1, 2]


# --- links --------------------------------------------------------------------------------------


def test_a_link_to_a_folder_above_adds_nothing(tmp_path, capsys):
    """Of the root, of one above it, and by way of the root of what is held out."""
    for k, path in enumerate(["set/train/a/1.png", "set/train/b/2.png", "set/test/a/3.png"]):
        draw(tmp_path / path, fill=k)
    for name, to in {"up": "..", "root": "../..", "above": "../../.."}.items():
        (tmp_path / "set" / "train" / "a" / name).symlink_to(to)
    source = f"folder:{tmp_path}/set"
    assert pixels(source, "train") == [0, 1]
    assert pixels(source, "test") == [2]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.count("which leads back") == 3


def test_a_folder_is_read_once_under_its_own_name(tmp_path):
    """The link comes first by name, and what it leads to is really there."""
    for k, path in enumerate(["b/1.png", "b/2.png", "c/3.png"]):
        draw(tmp_path / path, fill=k)
    (tmp_path / "a").symlink_to("b")
    assert pixels(f"folder:{tmp_path}") == [0, 1, 2]
    labels = data.load(f"folder:{tmp_path}", "all").labels
    assert labels.tolist() == [0, 0, 1]


# --- formats ------------------------------------------------------------------------------------

FORMATS = [
    (".png", "RGB", {}),
    (".webp", "RGB", {"lossless": True}),
    (".bmp", "RGB", {}),
    (".tif", "RGB", {"compression": "tiff_lzw"}),
    (".tiff", "L", {}),
    (".TIFF", "RGB", {}),
    (".gif", "L", {}),
    (".ppm", "RGB", {}),
    (".pgm", "L", {}),
]


@pytest.mark.parametrize(("suffix", "mode", "options"), FORMATS)
def test_every_format_is_read_to_the_bit(tmp_path, suffix, mode, options):
    shape = (2, 5, 7) if mode == "L" else (2, 5, 7, 3)
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    for k, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{k}{suffix}", **options)
    values = data.load(f"folder:{tmp_path}", "all").values
    # A GIF's grey levels are colours of its palette.
    expected = images[..., None] if mode == "L" else images
    np.testing.assert_array_equal(values, np.broadcast_to(expected, values.shape))


def test_what_is_left_out_is_counted_and_named_once(tmp_path, capsys):
    for name in ("train/1.png", "train/.2.png", "train/.cache/3.png", "test/4.png"):
        draw(tmp_path / name)
    for name in ("train/a.heic", "train/b.heic", "test/c.txt", "LICENSE"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "extra").mkdir()
    for _ in range(2):
        assert data.load(f"folder:{tmp_path}", "train").num == 1
    data.open_split(f"folder:{tmp_path}", "train")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"folder:{tmp_path}: left out 2 .heic, 1 .txt (the first is ")
    for name in ("extra", "LICENSE"):
        assert f"{tmp_path}/{name}, which lies beside train" in line
    assert ".2.png" not in line


def test_several_images_in_a_file_are_refused(tmp_path):
    frames = [Image.new("L", (2, 2), k) for k in (0, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match=r"a\.gif: holds 2 images; takes one a file"):
        data.load(f"folder:{tmp_path}", "all")


def test_the_preview_that_a_camera_adds_is_no_second_image(tmp_path):
    frames = [Image.new("RGB", (2, 2), (k, k, k)) for k in (7, 200)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    assert pixels(f"folder:{tmp_path}") == [7]


# --- depth --------------------------------------------------------------------------------------


def deep_png(kind: int, channels: int) -> bytes:
    """A PNG of 2 × 2 pixels with 16 bits a channel."""
    rows = np.arange(4 * channels, dtype=">u2").reshape(2, 2 * channels) * 4096
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 2, 2, 16, kind, 0, 0, 0),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks.items()
    )


def deep_tiff() -> bytes:
    """A TIFF of 2 × 2 RGB pixels with 16 bits a channel."""
    fields = [
        (256, 2),
        (257, 2),
        (258, 16),
        (259, 1),
        (262, 2),
        (273, 200),
        (277, 3),
        (278, 2),
        (279, 24),
    ]
    content = b"II*\0" + struct.pack("<IH", 8, len(fields))
    for tag, value in fields:
        # Three numbers of bits do not fit into the field, which says where they are.
        count, value = (3, 190) if tag == 258 else (1, value)
        content += struct.pack("<HHII", tag, 3, count, value)
    return (content + bytes(4)).ljust(190, b"\0") + struct.pack("<5H", 16, 16, 16, 0, 0) + bytes(24)


DEEP = {
    "rgb.png": (deep_png(2, 3), "RGB;16B"),
    "grey_alpha.png": (deep_png(4, 2), "LA;16B"),
    "rgb_alpha.png": (deep_png(6, 4), "RGBA;16B"),
    "grey.png": (deep_png(0, 1), "I;16B"),
    "rgb.tif": (deep_tiff(), "RGB;16"),
    "rgb.ppm": (b"P6 2 2 65535\n" + bytes(24), "RGB;16B"),
    "plain.ppm": (b"P3 2 2 1023\n" + b"1000 " * 12, "RGB;16B"),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_are_refused(tmp_path, name):
    content, mode = DEEP[name]
    (tmp_path / name).write_bytes(content)
    for read in (data.load, data.open_split):
        with pytest.raises(UserError) as caught:
            read(f"folder:{tmp_path}", "all")
        assert str(caught.value).startswith(f"{tmp_path}/{name}: has pixels of mode {mode}")


# --- alpha --------------------------------------------------------------------------------------

BACKGROUND = (0, 100, 255)


def every_alpha() -> np.ndarray:
    """An RGBA image with every pair of a level and an alpha."""
    level, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    return np.stack([level, level, level, alpha], axis=-1)


def test_alpha_is_composed_to_the_nearest_level(tmp_path, capsys):
    image = every_alpha()
    Image.fromarray(image).save(tmp_path / "a.png")
    level, alpha = image[..., :1].astype(float), image[..., 3:] / 255
    for name, colour in {"white": (255,) * 3, "#0064ff": BACKGROUND}.items():
        # In float64 no pair comes within 1e-3 of the middle between two levels: 255 is odd.
        expected = np.rint(alpha * level + (1 - alpha) * np.array(colour))
        source, options = f"folder:{tmp_path}", {"background": name}
        np.testing.assert_array_equal(data.load(source, "all", **options).values[0], expected)
        split = data.open_split(source, "all", **options)
        np.testing.assert_array_equal(split.read(np.arange(1)).values[0], expected)
    said = capsys.readouterr().err.splitlines()
    assert [str(c) in line for c, line in zip([(255,) * 3, BACKGROUND], said, strict=True)] == [
        True,
        True,
    ]


def test_grey_with_alpha_takes_the_colours_of_its_background(tmp_path):
    level, alpha = every_alpha()[..., 0], every_alpha()[..., 3]
    Image.fromarray(np.stack([level, alpha], -1)).save(tmp_path / "a.png")
    draw(tmp_path / "b.png", fill=7, size=(256, 256))
    source = f"folder:{tmp_path}"
    for name, channels in {"gray": 1, "#0064ff": 3}.items():
        whole = data.load(source, "all", background=name)
        split = data.open_split(source, "all", background=name)
        assert whole.shape == split.shape == (256, 256, channels)
        np.testing.assert_array_equal(split.read(np.arange(2)).values, whole.values)
        over = (128,) if channels == 1 else BACKGROUND
        np.testing.assert_array_equal(whole.values[0, 0], np.tile(over, (256, 1)))  # alpha is 0
        np.testing.assert_array_equal(whole.values[0, -1, :, 0], np.arange(256))  # alpha is 255


def test_alpha_may_be_kept(tmp_path, capsys):
    """Four channels of every image; opaque ones have the alpha 255, and nothing needs saying."""
    image = every_alpha()
    Image.fromarray(image).save(tmp_path / "a.png")
    draw(tmp_path / "b.png", "RGB", fill=(1, 2, 3), size=(256, 256))
    draw(tmp_path / "c.png", fill=9, size=(256, 256))
    source = f"folder:{tmp_path}"
    whole, split = (read(source, "all", alpha="keep") for read in (data.load, data.open_split))
    np.testing.assert_array_equal(whole.values[0], image)
    assert whole.values[1:, 5, 5].tolist() == [[1, 2, 3, 255], [9, 9, 9, 255]]
    assert split.shape == (256, 256, 4)
    np.testing.assert_array_equal(split.read(np.arange(3)).values, whole.values)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": "drop"}, ["data.alpha", "'drop'", "compose, keep"]),
        ({"background": "wite"}, ["data.background", "'wite'", "#8080ff"]),
    ],
)
def test_refused(options, words):
    with pytest.raises(UserError) as caught:
        data.load("digits", "train", **options)
    assert all(word in str(caught.value) for word in words)


def test_the_order_is_that_of_the_names(tmp_path):
    names = [f"{a}{b}.png" for a, b in itertools.product("ba", "dc")]
    for name in names:
        draw(tmp_path / name, fill=sorted(names).index(name))
    assert pixels(f"folder:{tmp_path}") == [0, 1, 2, 3]
