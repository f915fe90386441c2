"""Reading pictures, with the real engines."""

import shutil
import subprocess

import pytest
from PIL import Image

from fakes.documents import picture
from utils.errors import ProviderNotConfigured
from utils.ocr import Line, arrange, recogniser

LINES = ["第三季度销售额为1234元，同比增长12%。", "Total revenue: 5,678.90 USD", "甲方：北京某某科技有限公司"]


def languages_of_tesseract() -> str:
    program = shutil.which("tesseract")
    return subprocess.run([program, "--list-langs"], capture_output=True, text=True, check=True).stdout if program else ""


needs_tesseract = pytest.mark.skipif(
    "chi_sim" not in languages_of_tesseract(), reason="the program tesseract with chi_sim is not installed"
)


def without_spaces(text: str) -> str:
    return "".join(text.split())


def test_rapidocr_reads_chinese_and_english_line_by_line() -> None:
    read = recogniser("rapidocr", "")(picture(LINES))
    assert [without_spaces(line) for line in read.splitlines() if line] == [without_spaces(line) for line in LINES]


def test_rapidocr_reads_a_long_screenshot_to_its_end() -> None:
    page = Image.new("RGB", (400, 12_000), "white")
    for place, line in ((10, "第一条消息"), (5_000, "第二条消息"), (11_900, "最后一条消息")):
        page.paste(picture([line], size=22).crop((0, 20, 300, 60)), (50, place))
    assert recogniser("rapidocr", "")(page).split() == ["第一条消息", "第二条消息", "最后一条消息"]


@needs_tesseract
def test_tesseract_reads_chinese_without_spaces_between_characters() -> None:
    read = recogniser("tesseract", "chi_sim+eng")(picture(LINES))
    assert "北京某某科技有限公司" in read
    assert "Total revenue" in read


@needs_tesseract
def test_a_missing_language_is_the_operators_to_set() -> None:
    with pytest.raises(ProviderNotConfigured) as error:
        recogniser("tesseract", "xyz")(picture(["a"]))
    assert error.value.params == {"setting": "OCR_LANGUAGES"}


def test_a_missing_program_is_the_operators_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ProviderNotConfigured) as error:
        recogniser("tesseract", "eng")(picture(["a"]))
    assert error.value.params == {"setting": "OCR_ENGINE"}


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3000, 2), (400, 400)])
def test_a_picture_without_text_gives_none(size: tuple[int, int]) -> None:
    assert recogniser("rapidocr", "")(Image.new("RGB", size, "white")) == ""


def column(left: int, words: list[str], width: int = 200) -> list[Line]:
    return [Line(left, 50 + 30 * y, left + width, 70 + 30 * y, text) for y, text in enumerate(words)]


def test_columns_of_text_are_read_one_after_the_other() -> None:
    title = [Line(0, 0, 500, 20, "title over both")]
    lines = title + column(0, ["a", "b", "c", "d"]) + column(300, ["e", "f", "g", "h"])
    assert arrange(lines).split() == ["title", "over", "both", "a", "b", "c", "d", "e", "f", "g", "h"]


def test_rows_of_a_table_stay_together() -> None:
    cells = column(0, ["姓名", "张三", "李四", "王五"], 40) + column(300, ["1", "200,000", "3", "4"], 20)
    cells[-3] = cells[-3]._replace(right=420)  # cells do not fill their column
    assert arrange(cells).splitlines() == ["姓名 1", "张三 200,000", "李四 3", "王五 4"]


def test_a_wide_space_between_rows_is_a_paragraph() -> None:
    lines = [Line(0, 0, 100, 20, "one"), Line(0, 25, 100, 45, "two"), Line(0, 90, 100, 110, "three")]
    assert arrange(lines) == "one\ntwo\n\nthree"
