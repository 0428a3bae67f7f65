"""A figure on the page is the figure on disk, or is refused by the name of its file."""

import base64
import io
import random

import pytest
from PIL import Image

from ap3.errors import InvalidFileError
from ap3.report.cards import _picture


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "fig01.png"
    Image.effect_noise((40, 30), 80).convert("RGB").save(path)
    return path


def test_a_picture_has_the_size_of_its_file(png):
    picture, width, height = _picture(png)
    assert picture.startswith("data:image/png;base64,")
    assert (width, height) == (40, 30)


def test_the_background_keeps_its_color(tmp_path):
    """Nearly white shades are averaged with it."""
    drawn = Image.new("RGB", (64, 64), "white")
    drawn.paste(Image.effect_noise((64, 32), 9).point(lambda shade: min(shade + 120, 255)), (0, 32))
    drawn.save(tmp_path / "fig01.png")
    picture, _, _ = _picture(tmp_path / "fig01.png")
    with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as shown:
        assert shown.convert("RGB").getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("damage", ["empty", "cut short", "no image", "another format"])
def test_a_damaged_picture_is_a_damaged_file(png, damage):
    content = png.read_bytes()
    bitmap = io.BytesIO()
    Image.new("RGB", (4, 4)).save(bitmap, "BMP")
    png.write_bytes(
        {
            "empty": b"",
            "cut short": content[: len(content) // 2],
            "no image": b"x" * 100,
            "another format": bitmap.getvalue(),
        }[damage]
    )
    with pytest.raises(InvalidFileError, match=r"fig01\.png is no whole PNG image; delete it"):
        _picture(png)


def test_flipped_bits_are_read_or_refused(png):
    content, chance = png.read_bytes(), random.Random(0)
    for _ in range(200):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 5)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        png.write_bytes(changed)
        try:
            _picture(png)
        except InvalidFileError:
            continue


def test_a_picture_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        _picture(tmp_path / "fig01.png")
