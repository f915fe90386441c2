"""Pictures: as documents, and as what a model is shown."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from fakes import documents
from fakes.reading import read
from utils.errors import DocumentUnreadable
from utils.images import MAX_PIXELS, encode_for_model, normalise_image
from utils.ocr import recogniser


def saved(image: Image.Image, format: str, **options: object) -> BytesIO:
    out = BytesIO()
    image.save(out, format, **options)
    out.seek(0)
    return out


def corner() -> Image.Image:
    """Wide, white, its upper left quarter red."""
    image = Image.new("RGB", (40, 20), "white")
    ImageDraw.Draw(image).rectangle((0, 0, 19, 9), "red")
    return image


def is_red(image: Image.Image, place: tuple[int, int]) -> bool:
    red, green, blue = image.getpixel(place)
    return red > 200 and green < 90 and blue < 90


def test_a_picture_is_a_document_of_one_page() -> None:
    pages = read(documents.text_image(["第三季度销售额", "Total 5,678"]), "a.png", ocr=recogniser("rapidocr", ""))
    assert [(page.number, page.method) for page in pages] == [(1, "ocr")]
    assert pages[0].text.split("\n") == ["第三季度销售额", "Total 5,678"]


def test_a_picture_without_text_is_an_empty_page() -> None:
    page = read(saved(corner(), "PNG").getvalue(), "a.png", ocr=lambda _: " ")[0]
    assert page.method == "empty"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int, format: str) -> None:
    turned = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}[orientation]
    image = corner()
    for turn in turned:
        image = image.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a place that nobody should learn"
    upright = normalise_image(saved(image, format, exif=exif))
    assert upright.size == (40, 20)
    assert is_red(upright, (4, 4))
    assert not is_red(upright, (35, 15))
    assert b"nobody" not in encode_for_model(upright)


@pytest.mark.parametrize(
    ("mode", "format"),
    [("L", "PNG"), ("1", "TIFF"), ("P", "GIF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("I;16", "PNG"), ("F", "TIFF")],
)
def test_every_mode_becomes_rgb_with_its_contrast(mode: str, format: str) -> None:
    image = Image.new("L", (40, 20), 255)
    image.paste(0, (0, 0, 20, 10))
    if mode == "I;16":
        image = image.convert("I").point(lambda value: value * 257).convert("I;16")
    found = normalise_image(saved(image if mode == "I;16" else image.convert(mode), format))
    assert (found.mode, found.size) == ("RGB", (40, 20))
    assert max(found.getpixel((5, 5))) < 60
    assert min(found.getpixel((35, 15))) > 200


def test_lab_colours_become_rgb() -> None:
    assert min(normalise_image(saved(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF")).getpixel((1, 1))) >= 253


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
def test_what_is_transparent_becomes_white(mode: str, colour: tuple[int, ...]) -> None:
    assert normalise_image(saved(Image.new(mode, (4, 4), colour), "PNG")).getpixel((1, 1)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    assert normalise_image(saved(palette, "PNG", transparency=0)).getpixel((1, 1)) == (255, 255, 255)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for format in ("GIF", "WEBP", "PNG", "AVIF"):
        moving = saved(frames[0], format, save_all=True, append_images=frames[1:])
        assert is_red(normalise_image(moving), (4, 4)), format


def test_the_pages_of_a_tiff_are_pages() -> None:
    sheets = [documents.picture([text]) for text in ("第一页文字", "第二页文字")]
    content = saved(sheets[0], "TIFF", save_all=True, append_images=sheets[1:]).getvalue()
    pages = read(content, "a.tiff", ocr=recogniser("rapidocr", ""))
    assert [(page.number, page.text) for page in pages] == [(1, "第一页文字"), (2, "第二页文字")]
    assert [page.number for page in read(content, "a.tiff", ocr=lambda _: "x", first_page=2)] == [2]


def test_a_damaged_page_of_a_tiff_leaves_the_others() -> None:
    sheets = [documents.picture([text]) for text in ("一", "二")]
    content = saved(sheets[0], "TIFF", save_all=True, append_images=sheets[1:], compression="tiff_deflate").getvalue()
    strip = content.rindex(b"\x78\x9c")
    broken = content[:strip] + b"\xff" * 40 + content[strip + 40 :]
    pages = read(broken, "a.tiff", ocr=lambda _: "text")
    assert [(page.number, page.text, page.detail) for page in pages] == [(1, "text", None), (2, "", "damaged")]


def test_a_large_picture_is_made_smaller() -> None:
    found = normalise_image(saved(Image.new("L", (6_000, 4_000), 128), "JPEG"))
    assert 0.9 * MAX_PIXELS < found.width * found.height <= 1.01 * MAX_PIXELS
    assert abs(found.width / found.height - 1.5) < 0.01


def png_of_size(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims this size."""
    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("side", [8_000, 20_000, 60_000])
def test_a_picture_that_is_too_large_is_never_decoded(side: int) -> None:
    with pytest.raises(DocumentUnreadable) as error:
        normalise_image(BytesIO(png_of_size(side, side)))
    assert error.value.reason == "too_large"


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", png_of_size(10, 10), saved(corner(), "JPEG").getvalue()[:300]]
)
def test_a_damaged_picture_is_unreadable(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DocumentUnreadable) as error:
        normalise_image(path)
    assert error.value.reason == "damaged"


def test_other_formats_of_pillow_are_not_opened() -> None:
    with pytest.raises(DocumentUnreadable):
        normalise_image(saved(corner(), "EPS"))


def test_a_model_is_shown_a_jpeg_of_bounded_size() -> None:
    shown = Image.open(BytesIO(encode_for_model(Image.new("RGB", (5_000, 1_000)), max_side=2_048)))
    assert (shown.format, shown.size) == ("JPEG", (2_048, 410))
    assert Image.open(BytesIO(encode_for_model(corner()))).size == (40, 20)
