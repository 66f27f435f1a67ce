"""Images of a folder: labels, splits, kinds of pixels, and what is said about a bad one."""

import io

import numpy as np
import pytest
from PIL import Image

from experiments import data
from tests.experiments.data.sources import draw, refused


def test_folder_labels_are_those_of_the_sorted_first_level(tmp_path):
    for k, name in enumerate(["b/1.png", "a/2.JPG", "a/deep/3.jpeg", "c/4.png"]):
        draw(tmp_path / name, fill=k)
    draw(tmp_path / "a" / "._2.jpg")
    (tmp_path / "a" / "._2.jpg").write_bytes(b"the resource fork of a Macintosh")
    (tmp_path / "readme.txt").write_text("no image", encoding="utf-8")
    source = f"folder:{tmp_path}"
    parts = [data.load(source, split, holdout=0.5) for split in ("train", "test")]
    seen = {
        int(value[0, 0, 0]): int(label)
        for part in parts
        for value, label in zip(part.values, part.labels, strict=True)
    }
    assert seen == {0: 1, 1: 0, 2: 0, 3: 2}
    assert [part.num_classes for part in parts] == [3, 3]
    assert [part.num for part in parts] == [2, 2]


def test_folder_with_an_image_outside_of_sub_folders_has_no_labels(tmp_path):
    draw(tmp_path / "a" / "1.png")
    draw(tmp_path / "2.png")
    assert data.load(f"folder:{tmp_path}", "train").labels is None


def test_folder_follows_links(tmp_path):
    for name in "ab":
        draw(tmp_path / "elsewhere" / f"{name}.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "class").symlink_to(tmp_path / "elsewhere")
    assert data.load(f"folder:{tmp_path}/set", "train").num_classes == 1


def pair(tmp_path, mode, fill, **options) -> np.ndarray:
    """The pixel of a training image when all are of this mode."""
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, mode, fill=fill, **options)
    return data.load(f"folder:{tmp_path}", "train").values[0, 0, 0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("mode", "fill", "options", "pixel"),
    [
        ("L", 7, {}, [7]),
        ("1", 1, {}, [255]),
        ("LA", (7, 20), {}, [236]),  # (20·7 + 235·255)/255 = 235.55
        ("RGB", (1, 2, 3), {}, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 255), {}, [1, 2, 3]),
        ("RGBA", (1, 2, 3, 0), {}, [255, 255, 255]),
        ("L", 7, {"transparency": 7}, [255]),
        ("RGB", (1, 2, 3), {"transparency": (1, 2, 3)}, [255, 255, 255]),
    ],
)
def test_alpha_is_composed_over_white_and_grey_keeps_one_channel(
    tmp_path, mode, fill, options, pixel
):
    assert pair(tmp_path, mode, fill, **options).tolist() == pixel


@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparency_is_composed(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    for name in ("a.png", "b.png"):
        image.save(tmp_path / name, transparency=b"\x05\x09")
    pixels = data.load(f"folder:{tmp_path}", "train").values[0, 0]
    # (5·10 + 250·255)/255 = 250.2 and so on; (9·40 + 246·255)/255 = 247.4.
    assert pixels.tolist() == [[250, 250, 251], [247, 248, 248]]


def test_one_colour_image_makes_all_of_them_colour_in_both_splits(tmp_path):
    for k in range(4):
        draw(tmp_path / f"{k}.png", fill=k)
    draw(tmp_path / "4.png", "RGB", fill=(4, 5, 6))
    parts = [data.load(f"folder:{tmp_path}", split).values for split in ("train", "test")]
    pixels = {tuple(image[0, 0].tolist()) for part in parts for image in part}
    assert pixels == {(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 5, 6)}


def test_exif_orientation_is_respected(tmp_path):
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it after a quarter turn clockwise
    for name in ("a.png", "b.png"):
        Image.fromarray(np.rot90(upright)).save(tmp_path / name, exif=exif)
    np.testing.assert_array_equal(
        data.load(f"folder:{tmp_path}", "train").values[0, ..., 0], upright
    )


def test_images_of_different_sizes_are_cropped_and_resized(tmp_path):
    draw(tmp_path / "a.png", size=(9, 4), fill=3)
    draw(tmp_path / "b.png", size=(16, 16), fill=3)
    assert np.all(data.load(f"folder:{tmp_path}", "train", image_size=4).values == 3)
    assert data.load(f"folder:{tmp_path}", "test", image_size=4).shape == (4, 4, 1)


def test_many_images_are_read_in_order(tmp_path):
    for k in range(200):
        draw(tmp_path / "train" / f"{k:03}.png", size=(1, 1), fill=k)
    draw(tmp_path / "test" / "0.png", size=(1, 1))
    values = data.load(f"folder:{tmp_path}", "train").values
    assert values.ravel().tolist() == list(range(200))


def folder_of(*files):
    """A case: these files, each (name, bytes or the arguments of an image)."""

    def make(tmp_path):
        for name, content in files:
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
            else:
                draw(tmp_path / name, **content)

    return make


def png(**options) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert(options.get("mode", "L")).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (folder_of(), "data.source: no images below {}; takes .png, .jpg, .jpeg, .webp, .bmp, "),
        (folder_of(("a.txt", b"")), "data.source: no images below {}"),
        (
            folder_of(("train/a.png", {}), ("test/a.tga", {})),
            "data.source: no images below {}/test",
        ),
        (folder_of(("a.png", {})), "data.source: folder {} has 1 image; takes 2 or more"),
        (folder_of(("a.png", png()), ("b.png", b"")), "{}/b.png: cannot be read as an image"),
        (folder_of(("a.png", b"text"), ("b.png", png())), "{}/a.png: cannot be read as an image"),
        (
            folder_of(("a.png", png()), ("b.png", png()[:900])),
            "{}/b.png: cannot be read as an image",
        ),
        (
            folder_of(("a.png", {"mode": "I;16"}), ("b.png", {"mode": "I;16"})),
            "{}/a.png: has pixels of mode I;16B; takes 8 bits a channel",
        ),
        (
            folder_of(("a.png", {}), ("b.png", {}), ("c.png", {"size": (6, 4)})),
            "data.image_size: images of different sizes, {0}/a.png is 4x4 and {0}/c.png is 6x4; "
            "takes the side of squares",
        ),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_said_about_a_bad_folder(tmp_path, make, message, split):
    make(tmp_path)
    refused(f"folder:{tmp_path}", message.format(tmp_path), split)
