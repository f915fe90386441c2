"""PDFs page by page: text layers, scans, forms, damage and hostility."""

import os
import zlib
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
from PIL import Image

from fakes import documents
from fakes.documents import raw_pdf, stream
from fakes.reading import read
from utils.errors import DocumentUnreadable
from utils.loaders import LoadOptions, Page, load
from utils.ocr import recogniser

PDF = "application/pdf"
HELLO = b"BT /F 12 Tf 60 700 Td (hello) Tj ET"


def reason(content: bytes, name: str = "a.pdf", **options: int) -> str:
    with pytest.raises(DocumentUnreadable) as error:
        read(content, name, **options)
    return error.value.reason


def test_each_page_has_its_number_and_its_text() -> None:
    pages = read(documents.chinese_pdf(["第一页\n合同编号 A-1", "Second page", "第三页"]), "a.pdf")
    assert [(page.number, page.text, page.method) for page in pages] == [
        (1, "第一页\n合同编号 A-1", "text"),
        (2, "Second page", "text"),
        (3, "第三页", "text"),
    ]


def test_a_sentence_over_two_lines_stays_whole() -> None:
    lines = "第三季度销售额为1234元，同比增长12%。公司在华东地区的业\n务增长最快，其次是华南地区。"
    assert read(documents.chinese_pdf([lines]), "a.pdf")[0].text == lines.replace("\n", "")


def test_a_word_broken_at_the_end_of_a_line_is_whole() -> None:
    assert "an international contract" in read(documents.english_pdf(["an interna-\ntional contract"]), "a.pdf")[0].text


def test_cells_that_stand_in_a_row_come_in_one_line() -> None:
    cells = [(60, 700, b"Product"), (60, 680, b"SKU-8847"), (300, 700, b"Price"), (300, 680, b"45.00")]
    rows = sorted(cells, key=lambda cell: -cell[1])
    page = b"".join(b"BT /F 12 Tf %d %d Td (%s) Tj ET\n" % cell for cell in rows)
    assert read(raw_pdf([page]), "a.pdf")[0].text == "Product Price\nSKU-8847 45.00"


HEADERS = [
    (
        "云岭科技有限公司 · 内部资料 · 严禁外传",
        "第 8 页 共 20 页",
        "一、休假。\n工作满五年的员工，年假为十五天，当年休完",
    ),
    ("Yunling Ltd, for internal use only 内部资料", "第 8 页 of 20", "1. Leave.\nFifteen days of leave after five years 年"),
]


@pytest.mark.parametrize(("header", "footer", "body"), HEADERS)
def test_header_and_footer_are_lines_of_their_own_wherever_they_were_drawn(header: str, footer: str, body: str) -> None:
    head, foot, middle = (800, header), (70, footer), list(zip((740, 720), body.split("\n"), strict=True))
    whole = f"{header}\n\n{body}\n\n{footer}"
    for drawn in ([head, foot, *middle], [*middle, foot, head], [head, *middle, foot], [foot, *middle, head]):
        assert read(documents.placed_pdf([drawn]), "a.pdf")[0].text == whole
    assert read(documents.placed_pdf([[foot, head]]), "a.pdf")[0].text == f"{header}\n\n{footer}"


def test_on_a_page_that_is_turned_header_and_footer_are_where_they_are_seen() -> None:
    drawn = [(30, "页眉：内部资料"), (800, "第 8 页"), (100, "正文第一行"), (120, "正文第二行")]
    assert (
        read(documents.placed_pdf([drawn], rotation=180), "a.pdf")[0].text
        == "页眉：内部资料\n\n正文第一行\n正文第二行\n\n第 8 页"
    )


def test_columns_are_read_one_after_the_other() -> None:
    left = [(60, 700 - 20 * row, b"left %d" % row) for row in range(8)]
    right = [(300, 700 - 20 * row, b"right %d" % row) for row in range(5)]
    page = b"".join(b"BT /F 12 Tf %d %d Td (%s) Tj ET\n" % cell for cell in left + right)
    lines = [cell[2].decode() for cell in left + right]
    assert read(raw_pdf([page]), "a.pdf")[0].text.split("\n") == lines


def test_a_scanned_page_is_read_by_ocr() -> None:
    lines = ["第三季度销售额为1234元", "Total revenue 5,678.90"]
    pages = read(documents.scanned_pdf([lines]), "a.pdf", ocr=recogniser("rapidocr", ""))
    assert [(page.number, page.method) for page in pages] == [(1, "ocr")]
    assert pages[0].text.split("\n") == lines


def test_a_scan_with_a_few_typed_words_is_read_whole() -> None:
    scan = documents.scanned_pdf([["图中文字"]])
    image = b"600 0 0 800 0 0 cm /X Do"
    pixels = zlib.compress(bytes(100 * 100))
    picture = stream(
        b"/Type/XObject/Subtype/Image/Width 100/Height 100/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode",
        pixels,
    )
    stamped = raw_pdf([b"q %s Q %s" % (image, HELLO)], [picture])
    assert read(scan, "a.pdf", ocr=lambda _: "扫描")[0].text == "扫描"
    assert read(stamped, "a.pdf", ocr=lambda _: "hello and what the scan shows")[0].text == "hello and what the scan shows"
    assert read(stamped, "a.pdf", ocr=lambda _: "")[0].text == "hello"


def test_a_text_layer_without_meaning_is_not_believed() -> None:
    cmap = b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <00> <ff> <E000> endbfrange"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 4 0 R>>"
    form = stream(
        b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</Font<</G 5 0 R>>>>", HELLO.replace(b"/F", b"/G")
    )
    page = read(raw_pdf([b"/X Do"], [form, stream(b"", cmap), font]), "a.pdf", ocr=lambda _: "gelesen")[0]
    assert (page.text, page.method) == ("gelesen", "ocr")


def test_an_empty_page_between_others_is_empty() -> None:
    pages = read(raw_pdf([HELLO, b"", HELLO]), "a.pdf", ocr=lambda _: "")
    assert [(page.text, page.method, page.detail) for page in pages] == [
        ("hello", "text", None),
        ("", "empty", "blank"),
        ("hello", "text", None),
    ]


def test_a_page_on_which_ocr_finds_no_text_is_empty() -> None:
    (page,) = read(raw_pdf([b"0 0 300 300 re f"]), "a.pdf", ocr=lambda _: "")
    assert (page.text, page.method, page.detail) == ("", "empty", "no_text")


def test_a_page_that_defeats_ocr_does_not_take_the_document_with_it() -> None:
    def defeated(image: Image.Image) -> str:
        raise DocumentUnreadable("too_complex")

    pages = read(raw_pdf([b"0 0 300 300 re f", HELLO]), "a.pdf", ocr=defeated)
    assert [(page.text, page.method, page.detail) for page in pages] == [
        ("", "empty", "ocr_failed"),
        ("hello", "text", None),
    ]


def test_what_was_filled_into_a_form_is_text() -> None:
    assert read(documents.form_pdf("Name", "Wang Fang"), "a.pdf")[0].text == "Name\nWang Fang"


def test_an_empty_password_opens_and_a_real_one_does_not() -> None:
    assert read(documents.chinese_pdf(["公开"], password=""), "a.pdf")[0].text == "公开"
    assert reason(documents.chinese_pdf(["秘密"], password="secret")) == "encrypted"


def test_reading_goes_on_where_it_was_broken_off() -> None:
    pages = read(documents.chinese_pdf(["一", "二", "三"]), "a.pdf", first_page=3)
    assert [(page.number, page.text) for page in pages] == [(3, "三")]


def test_too_many_pages_are_refused() -> None:
    assert reason(documents.english_pdf(["a", "b", "c"]), max_pages=2) == "too_many_pages"


def readers(path: Path) -> list[bytes]:
    """The command lines of the processes that have this file as an argument."""
    lines = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            lines.append(line.read_bytes())
    return [line for line in lines if str(path).encode() in line.split(b"\0")]


def test_pages_are_read_only_when_asked_for_and_nothing_runs_on(tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(raw_pdf([b"0 0 300 300 re f"] * 3))
    asked: list[tuple[int, int]] = []

    def ocr(image: Image.Image) -> str:
        asked.append(image.size)
        return "text"

    pages = cast("Generator[Page]", load(path, PDF, LoadOptions(ocr=ocr, ocr_dpi=150)).pages)
    next(pages)
    assert asked == [(1240, 1755)]
    assert len(readers(path)) == 1
    pages.close()
    assert readers(path) == []


def test_no_picture_of_a_page_is_larger_than_ocr_can_use() -> None:
    huge = raw_pdf([b"0 0 300 300 re f"]).replace(b"[0 0 595 842]", b"[0 0 9595 842]")
    sizes: list[tuple[int, int]] = []
    read(huge, "a.pdf", ocr=lambda image: str(sizes.append(image.size)))
    assert max(sizes[0]) == 4_000


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_truncated_file_gives_what_is_left_or_says_that_it_is_damaged(cut: float) -> None:
    content = documents.english_pdf(["hello there", "second page"])
    try:
        pages = read(content[: int(len(content) * cut)], "a.pdf", ocr=lambda _: "")
    except DocumentUnreadable as error:
        assert error.reason == "damaged"
    else:
        assert pages


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7\nnothing more", b"1 0 obj<</Root 1 0 R>>endobj", b"%PDF-1.4\n" + os.urandom(3_000)]
)
def test_what_is_no_pdf_is_damaged(content: bytes) -> None:
    assert reason(content) == "damaged"


def forms(depth: int) -> list[bytes]:
    """Forms that each draw the next one twice."""
    found = []
    for number in range(depth):
        entries = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</A %d 0 R>>>>" % (4 + number)
        found.append(stream(entries, b"/A Do /A Do"))
    font = b"/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    return [*found, stream(b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]" + font, HELLO)]


@pytest.mark.timeout(60)
def test_a_page_that_never_ends_does_not_take_the_document_with_it() -> None:
    pages = read(raw_pdf([HELLO, b"/X Do", HELLO], forms(40)), "a.pdf", ocr=lambda _: "")
    assert pages[0].text == pages[2].text == "hello"
    assert [page.number for page in pages] == [1, 2, 3]


@pytest.mark.timeout(60)
def test_streams_that_swell_are_contained() -> None:
    swollen = zlib.compress(zlib.compress(b" " * 900_000_000))
    page = stream(b"/Filter[/FlateDecode/FlateDecode]", swollen)
    content = raw_pdf([HELLO, b"SWOLLEN"]).replace(stream(b"", b"SWOLLEN"), page)
    pages = read(content, "a.pdf", ocr=lambda _: "")
    assert pages[0].text == "hello"
    assert (pages[1].method, pages[1].detail) == ("empty", "unreadable")
