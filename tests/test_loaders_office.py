"""Workbooks and slides."""

import re
import zipfile
from datetime import datetime
from io import BytesIO

import openpyxl
import pytest
from openpyxl.styles.numbers import FORMAT_PERCENTAGE_00

from fakes import documents, ole
from fakes.reading import read, text_of
from utils.errors import DocumentUnreadable


def members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_sheets_become_headings_and_tables() -> None:
    book = documents.xlsx({"销售": [["产品", "金额"], ["苹果", 12.5], [None, None], ["梨", 3]], "空": [], "Notes": [["a"]]})
    assert text_of(book, "a.xlsx") == (
        "# 销售\n\n| 产品 | 金额 |\n| --- | --- |\n| 苹果 | 12.5 |\n| 梨 | 3 |\n# 空\n# Notes\n\n| a |\n| --- |"
    )


def test_values_look_as_in_excel() -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append([datetime(2025, 3, 1), datetime(2025, 3, 1, 9, 30), True, 0.125, 0.1 + 0.2, 10**15, "#N/A"])
    sheet["D1"].number_format = FORMAT_PERCENTAGE_00
    sheet["F1"].number_format = '"共"0"元"'
    out = BytesIO()
    book.save(out)
    row = text_of(out.getvalue(), "a.xlsx").splitlines()[2]
    assert row == "| 2025-03-01 | 2025-03-01 09:30:00 | TRUE | 12.5% | 0.3 | 1000000000000000 | #N/A |"


def test_shared_and_rich_texts_are_found_without_readings() -> None:
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    parts = members(documents.xlsx({"表": [["x"]]}))
    parts["xl/sharedStrings.xml"] = (
        f"<sst {space}><si><r><t>東</t></r><r><t>京</t></r><rPh><t>とうきょう</t></rPh></si></sst>".encode()
    )
    parts["xl/worksheets/sheet1.xml"] = (
        f'<worksheet {space}><sheetData><row><c t="s"><v>0</v></c><c t="s"><v>99</v></c><c t="str"><v>f</v></c></row>'
        "</sheetData></worksheet>".encode()
    )
    related = parts["xl/_rels/workbook.xml.rels"]
    if b"sharedStrings" not in related:
        kind = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
        entry = b'<Relationship Id="r99" Type="%s" Target="sharedStrings.xml"/></Relationships>' % kind
        parts["xl/_rels/workbook.xml.rels"] = related.replace(b"</Relationships>", entry)
    assert "| 東京 | f |" in text_of(documents.archive(parts), "a.xlsx")


def test_a_strict_workbook_is_read() -> None:
    parts = members(documents.xlsx({"表": [["严格", 1]]}))
    for name in parts:
        parts[name] = re.sub(
            rb"http://schemas.openxmlformats.org/(?:spreadsheetml/2006|officeDocument/2006)",
            b"http://purl.oclc.org/ooxml",
            parts[name],
        )
    assert "| 严格 | 1 |" in text_of(documents.archive(parts), "a.xlsx")


def test_cells_strewn_over_a_huge_sheet_stay_a_small_table() -> None:
    parts = members(documents.xlsx({"表": [["x"]]}))
    rows = "".join(f'<row r="{n}"><c r="{"A" if n % 2 else "XFD"}{n}"><v>{n}</v></c></row>' for n in range(1, 1_001))
    parts["xl/worksheets/sheet1.xml"] = f"<worksheet><sheetData>{rows}</sheetData></worksheet>".encode()
    text = text_of(documents.archive(parts), "a.xlsx")
    assert text.splitlines()[2] == "| 1 |  |"
    assert text.splitlines()[-1] == "|  | 1000 |"


def test_a_workbook_that_swells_is_refused() -> None:
    parts = members(documents.xlsx({"表": [["x"]]}))
    parts["xl/worksheets/sheet1.xml"] = b"<worksheet><sheetData>" + b"<row/>" * 2_000_000
    with pytest.raises(DocumentUnreadable) as error:
        read(documents.archive(parts), "a.xlsx")
    assert error.value.reason == "too_large"


def test_old_workbooks_are_read() -> None:
    rows = [["姓名", "金额"], ["张三", 12.5], ["李四", 3]]
    assert (
        text_of(ole.xls("工资", rows), "a.xls") == "# 工资\n\n| 姓名 | 金额 |\n| --- | --- |\n| 张三 | 12.5 |\n| 李四 | 3 |"
    )


def test_a_damaged_old_workbook_is_unreadable() -> None:
    with pytest.raises(DocumentUnreadable):
        read(ole.ole({"Workbook": b"\x09\x08\x10\x00" + bytes(20)}), "a.xls")


def test_each_slide_is_a_page_with_its_title_first() -> None:
    show = documents.slides(
        [("第一张", "要点一\n要点二"), ("第二张", "正文")], notes="讲稿", table=[["姓名", "金额"], ["张三", "1"]]
    )
    pages = read(show, "a.pptx")
    assert [(page.number, page.text) for page in pages] == [
        (1, "# 第一张\n\n要点一\n要点二"),
        (2, "# 第二张\n\n正文\n\n姓名\t金额\n张三\t1\n\nNotes: 讲稿"),
    ]


def test_slides_come_in_the_order_in_which_they_are_shown() -> None:
    parts = members(documents.slides([("甲", "a"), ("乙", "b")]))
    ids = re.findall(rb"<p:sldId [^>]*/>", parts["ppt/presentation.xml"])
    parts["ppt/presentation.xml"] = parts["ppt/presentation.xml"].replace(b"".join(ids), b"".join(reversed(ids)))
    assert [page.text.split()[1] for page in read(documents.archive(parts), "a.pptx")] == ["乙", "甲"]


def test_a_slide_that_is_a_picture_is_read_by_ocr() -> None:
    parts = members(documents.slides([("", "")]))
    image = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"
    related = parts["ppt/slides/_rels/slide1.xml.rels"]
    entry = f'<Relationship Id="r9" Type="{image}" Target="../media/a.png"/></Relationships>'.encode()
    parts["ppt/slides/_rels/slide1.xml.rels"] = related.replace(b"</Relationships>", entry)
    parts["ppt/media/a.png"] = documents.text_image(["字"])
    page = read(documents.archive(parts), "a.pptx", ocr=lambda _: "图中文字")[0]
    assert (page.text.strip(), page.method) == ("图中文字", "ocr")
