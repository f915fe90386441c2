"""Pictures inside PDF and Word documents: found in their place, taken in once, and no danger to the text."""

import io
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from fakes.documents import picture, raw_pdf, stream
from fakes.illustrated import docx, drawing, old_drawing, p, pdf, photo, png
from fakes.reading import no_ocr
from utils.file_util import detect
from utils.loaders import LoadOptions, Page, load
from utils.ocr import recogniser
from utils.pictures import DEADLY, MARK, Pictures, key_of, without_marks

HELLO = b"BT /F 12 Tf 60 700 Td (hello) Tj ET "
DRAW = b"q 300 0 0 200 60 300 cm /X Do Q "


class Read(NamedTuple):
    """What was read; `text` has `<n>` where the n-th picture that was kept stands."""

    pages: list[Page]
    keys: list[str]
    kept: Pictures

    @property
    def text(self) -> str:
        return MARK.sub(lambda match: f"<{self.keys.index(match[1])}>", "\f".join(page.text for page in self.pages))

    def image(self, number: int) -> Image.Image | None:
        return self.kept.read(self.keys[number])


def read(folder: Path, content: bytes, name: str = "a.pdf", most: int = 50, **options: object) -> Read:
    path = folder / "upload"
    path.write_bytes(content)
    kept = Pictures(folder / "pictures", most)
    settings = LoadOptions(**{"ocr": no_ocr, "pictures": kept, **options})
    pages = list(load(path, detect(path, name), settings).pages)
    keys = dict.fromkeys(key for page in pages for key in MARK.findall(page.text))
    return Read(pages, list(keys), kept)


def alike(one: Image.Image | None, other: Image.Image) -> bool:
    assert one is not None
    small = [np.asarray(image.convert("L").resize((24, 16)), float) for image in (one, other)]
    return bool(np.abs(small[0] - small[1]).mean() < 10)


def image_object(width: int, height: int, pixels: bytes) -> bytes:
    entries = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode"
    return stream(entries % (width, height), zlib.compress(pixels))


def test_a_picture_of_a_pdf_stands_between_the_lines_around_it(tmp_path: Path) -> None:
    lines = ["第一行说明", photo(1), "图一：说明", "Second part", photo(2)]
    found = read(tmp_path, pdf([lines, ["另一页"]]))
    assert found.text == "第一行说明<0>\n图一：说明\nSecond part<1>\f另一页"
    assert alike(found.image(0), photo(1))
    assert alike(found.image(1), photo(2))


def test_the_text_of_a_pdf_without_its_marks_is_what_it_is_without_pictures(tmp_path: Path) -> None:
    sentence = ["第三季度销售额为1234元，同比增长12%。公司在华东地区的业", photo(1), "务增长最快，其次是华南地区。"]
    found = read(tmp_path, pdf([sentence]))
    assert without_marks(found.text.replace("<0>", "")) == "".join(line for line in sentence if isinstance(line, str))
    assert found.keys


def test_a_picture_is_kept_as_it_is_seen(tmp_path: Path) -> None:
    upright = picture(["会议室三零五号"], 40)
    turned = read(tmp_path, pdf([["文字", upright.rotate(90, expand=True)]], width=80, rotation=90))
    assert recogniser("rapidocr", "")(turned.image(0)) == "会议室三零五号"
    body = b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</XObject<</Y 4 0 R>>>>"
    form = stream(body, b"q 300 0 0 -200 60 500 cm /Y Do Q")
    pixels = np.zeros((120, 120), np.uint8)
    pixels[:60] = 255  # its upper half is white
    found = read(tmp_path, raw_pdf([HELLO + b"1 0 0 -1 0 800 cm /X Do"], [form, image_object(120, 120, pixels.tobytes())]))
    assert found.text == "hello<0>"
    assert alike(found.image(0), Image.fromarray(pixels))


def test_icons_lines_and_backgrounds_are_no_pictures(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 300 * 300, np.uint8).tobytes()
    words = b"BT /F 12 Tf 60 700 Td (%s) Tj ET " % (b"many words " * 120)
    for size, place in (
        ((90, 300), DRAW),
        ((300, 300), b"20 0 0 20 60 300 cm /X Do"),
        ((300, 300), b"595 0 0 842 0 0 cm /X Do"),
    ):
        image = image_object(*size, noise[: size[0] * size[1]])
        assert read(tmp_path, raw_pdf([words + place], [image])).keys == []
    blank = image_object(300, 300, bytes(300 * 300))
    assert read(tmp_path, raw_pdf([words + DRAW], [blank])).keys == []
    assert read(tmp_path, raw_pdf([words + DRAW], [image_object(300, 300, noise)])).keys


def test_a_picture_with_a_few_words_beside_it_is_no_scan(tmp_path: Path) -> None:
    found = read(tmp_path, pdf([["图一", photo(1, (400, 600))]], width=480))
    assert found.text == "图一<0>"
    assert found.pages[0].method == "text"


def test_a_page_that_is_a_photo_may_be_described_and_a_scan_is_only_read(tmp_path: Path) -> None:
    whole = pdf([[photo(1, (595, 790))]], width=560)
    photographed = read(tmp_path, whole, ocr=lambda _: "")
    assert [(page.method, page.detail) for page in photographed.pages] == [("ocr", "no_text")]
    assert photographed.text == "<0>"
    scan = read(tmp_path, whole, ocr=lambda _: "扫描的文字" * 50)
    assert scan.keys == []
    assert scan.pages[0].text == "扫描的文字" * 50


def test_a_logo_on_each_page_is_taken_in_once(tmp_path: Path) -> None:
    found = read(tmp_path, pdf([[f"第{n}页", photo(7)] for n in range(10)]))
    assert [page.text.count("\ufdd0") for page in found.pages] == [1] * 10
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [f"{found.keys[0]}.jpg"]


def test_no_more_pictures_are_taken_in_than_allowed(tmp_path: Path) -> None:
    found = read(tmp_path, pdf([["文字", photo(n)] for n in range(5)]), most=2)
    assert found.text == "文字<0>\f文字<1>\f文字\f文字\f文字"
    body = "".join(p(f"这一段是第{n}段，后面是一张图。", drawing(f"{n}.png")) for n in range(5))
    assert (
        read(tmp_path, docx(body, {f"{n}.png": png(photo(n + 10)) for n in range(5)}), "a.docx", most=3).text.count("<") == 1
    )
    assert len(list((tmp_path / "pictures").iterdir())) == 3


@pytest.mark.timeout(60)
def test_a_page_full_of_pictures_and_pictures_deep_in_forms_do_no_harm(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 200 * 200, np.uint8).tobytes()
    image = image_object(200, 200, noise)
    found = read(tmp_path, raw_pdf([HELLO + b"q 90 0 0 90 60 300 cm /X Do Q " * 300_000, HELLO], [image]))
    assert [without_marks(page.text) for page in found.pages] == ["hello", "hello"]
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</XObject<</X %d 0 R>>>>"
    nested = [stream(entries % (number + 4), b"/X Do /X Do") for number in range(8)]
    assert read(tmp_path, raw_pdf([HELLO + DRAW, HELLO], [*nested, image])).text == "hello\fhello"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "image",
    [
        image_object(60_000, 60_000, b""),
        stream(
            b"/Type/XObject/Subtype/Image/Width 7000/Height 7000/BitsPerComponent 8/ColorSpace/DeviceRGB"
            b"/Filter[/FlateDecode/FlateDecode]",
            zlib.compress(zlib.compress(bytes(900_000_000), 1)),
        ),
        stream(b"/Type/XObject/Subtype/Image/Width 500/Height 500/BitsPerComponent 8/Filter/DCTDecode", b"\xff\xd8 no jpeg"),
        stream(
            b"/Type/XObject/Subtype/Image/Width 500/Height 500/BitsPerComponent 8/Filter/JPXDecode", b"\0\0\0\x0cjP  \r\n"
        ),
    ],
)
def test_bombs_and_broken_pictures_cost_no_page(tmp_path: Path, image: bytes) -> None:
    found = read(tmp_path, raw_pdf([HELLO + DRAW] * 6 + [HELLO], [image]))
    assert [without_marks(page.text) for page in found.pages] == ["hello"] * 7
    assert all(found.kept.is_damaged(key) for key in found.keys)


def test_pictures_of_word_stand_in_their_place(tmp_path: Path) -> None:
    names = ("inline.png", "anchor.jpg", "cell.png", "old.png", "new.png")
    pictures = {name: png(photo(number)) for number, name in enumerate(names)}
    cells = "".join(f"<w:tc>{p(part)}</w:tc>" for part in ("左", drawing("cell.png"), "右"))
    newer = (
        f'<mc:AlternateContent><mc:Choice Requires="wpg">{drawing("new.png")}</mc:Choice>'
        f"<mc:Fallback>{old_drawing('new.png')}</mc:Fallback></mc:AlternateContent>"
    )
    body = (
        p("第一段", drawing("inline.png"), "继续")
        + p(drawing("anchor.jpg", "anchor"))
        + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
        + p("旧", old_drawing("old.png"))
        + p("新", newer)
    )
    found = read(tmp_path, docx(body, pictures), "a.docx", ocr=lambda _: "")
    assert found.text == "第一段继续<0>\n\n<1>\n\n左\t<2>\t右\n\n旧<3>\n\n新<4>"
    assert [alike(found.image(number), photo(number)) for number in range(5)] == [True] * 5


def test_icons_and_drawings_in_headers_and_formats_of_windows_are_left_out_of_word(tmp_path: Path) -> None:
    pictures = {
        "icon.png": png(photo(1)),
        "small.png": png(photo(2, (60, 60))),
        "a.emf": b"\1\0\0\0",
        "logo.png": png(photo(3)),
    }
    body = p(
        "正文很长" * 10, drawing("icon.png", inches=0.2), drawing("small.png"), drawing("a.emf"), drawing("missing.png")
    )
    found = read(tmp_path, docx(body, pictures, header=p("页眉", drawing("logo.png"))), "a.docx")
    assert [page.text for page in found.pages] == ["正文很长" * 10, "页眉"]


def test_a_document_of_word_that_is_only_photos_may_be_described(tmp_path: Path) -> None:
    content = docx(p(drawing("a.png")), {"a.png": png(photo(1))})
    found = read(tmp_path, content, "a.docx", ocr=lambda _: "")
    assert (found.text.strip(), found.pages[0].method) == ("<0>", "ocr")
    scan = read(tmp_path, content, "a.docx", ocr=lambda _: "扫描的文字" * 50)
    assert (scan.text.strip(), scan.keys) == ("扫描的文字" * 50, [])


def bomb() -> bytes:
    """A PNG that says it has 900 million pixels."""
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1_000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize("content", [bomb(), png(photo(1))[:200], b"no picture", bytes(20_000_000)])
def test_bombs_and_broken_pictures_cost_no_text_of_word(tmp_path: Path, content: bytes) -> None:
    body = p("这是一段不算太短的正文，它后面还有别的文字。", drawing("a.png")) + p("第二段", drawing("b.png"))
    found = read(tmp_path, docx(body, {"a.png": content, "b.png": png(photo(2))}), "a.docx")
    assert found.text == "这是一段不算太短的正文，它后面还有别的文字。<0>\n\n第二段<1>"
    assert [found.kept.is_damaged(key) for key in found.keys] == [True, False]


def test_a_picture_that_a_process_died_of_is_not_looked_at_again(tmp_path: Path) -> None:
    content = png(photo(1))
    key = key_of(content)
    with pytest.raises(KeyboardInterrupt), Pictures(tmp_path / "pictures", 50).suspecting(key):
        raise KeyboardInterrupt
    kept = Pictures(tmp_path / "pictures", 50)
    assert kept.give_up_suspect()
    assert not kept.give_up_suspect()
    assert kept.mark(key, pytest.fail) == f"\ufdd0{key}\ufdd1"
    assert kept.is_damaged(key)


def test_after_several_deaths_pictures_are_left_alone(tmp_path: Path) -> None:
    for name in "abc":
        assert not Pictures(tmp_path, 50).worn_out
        (tmp_path / f"{name}.jpg").write_bytes(DEADLY)
    assert Pictures(tmp_path, 50).mark("0" * 16, pytest.fail) == ""


def test_a_picture_is_kept_in_a_size_fit_for_reading(tmp_path: Path) -> None:
    kept = Pictures(tmp_path, 50)
    kept.mark("1" * 16, lambda: photo(1, (100, 100)))
    found = read(
        tmp_path,
        docx(p("这是一段不算太短的正文，它后面还有别的文字。", drawing("a.png")), {"a.png": png(photo(1, (6_000, 4_000)))}),
        "a.docx",
    )
    image = found.image(0)
    assert image is not None
    assert 2_100_000 < image.width * image.height <= 2_200_000
    assert isinstance(Image.open(io.BytesIO((tmp_path / "pictures" / f"{found.keys[0]}.jpg").read_bytes())), Image.Image)
