"""What a file is, from its content; and what it is called."""

from pathlib import Path

import pytest

from fakes import documents, ole
from utils.errors import DocumentUnreadable, UnsupportedType
from utils.file_util import clean_filename, detect, endings

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"


def found(tmp_path: Path, content: bytes, name: str, *allowed: str) -> str:
    path = tmp_path / "upload"
    path.write_bytes(content)
    return detect(path, name, allowed)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (documents.chinese_pdf(["你好"]), "application/pdf"),
        (b"\0" * 128 + documents.english_pdf(["behind a MacBinary head"]), "application/pdf"),
        (documents.docx(["你好"]), DOCX),
        (documents.xlsx({"表": [["a"]]}), XLSX),
        (documents.slides([("a", "b")]), PPTX),
        (documents.epub([("一", "二")]), "application/epub+zip"),
        (ole.doc("你好"), "application/msword"),
        (ole.xls("表", [["a"]]), "application/vnd.ms-excel"),
        *((documents.text_image(["字"], kind), f"image/{kind.lower()}") for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")),
        *((documents.text_image(["字"], kind), f"image/{kind.lower()}") for kind in ("TIFF", "AVIF")),
    ],
)
def test_binary_formats_are_known_by_content_whatever_the_name_says(tmp_path: Path, content: bytes, media_type: str) -> None:
    assert found(tmp_path, content, "nothing.txt") == media_type
    assert found(tmp_path, content, "没有后缀") == media_type


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("报告.TXT", "text/plain"),
        ("main.py", "text/plain"),
        ("README.md", "text/markdown"),
        ("表.csv", "text/csv"),
        ("表.tsv", "text/tab-separated-values"),
        ("a.json", "application/json"),
        ("a.xml", "application/xml"),
        ("a.html", "text/html"),
        ("a.eml", "message/rfc822"),
        ("a.ipynb", "application/x-ipynb+json"),
        ("a.unknown", "text/plain"),
        ("", "text/plain"),
    ],
)
def test_the_name_decides_between_kinds_of_text(tmp_path: Path, name: str, media_type: str) -> None:
    assert found(tmp_path, "姓名,年龄\n王芳,28\n".encode(), name) == media_type


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"<!-- saved -->\n<!DOCTYPE html>\n<html><body>x</body></html>", "text/html"),
        (documents.eml("主题", "正文"), "message/rfc822"),
        (b'<?xml version="1.0"?><a/>', "application/xml"),
    ],
)
def test_without_a_telling_name_text_is_known_by_its_beginning(tmp_path: Path, content: bytes, media_type: str) -> None:
    assert found(tmp_path, content, "导出.xls") == media_type


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5", "utf-16", "utf-16-le", "utf-32-be", "iso2022_jp"])
def test_text_is_text_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    assert (
        found(tmp_path, "会議の記録 2025\r\n東京都で開催\r\n".replace("会", "會").encode(encoding, "ignore"), "a.txt")
        == "text/plain"
    )


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (bytes(range(256)) * 8, "data.bin"),
        (bytes(range(256)) * 8, "fake.txt"),
        (b"\x7fELF\x02\x01\x01" + bytes(200), "program"),
        (documents.archive({"content.xml": "<a/>"}), "archive.zip"),
        (documents.archive({"word2/document.xml": "<a/>"}), "almost.docx"),
        (ole.ole({"Other": b"x"}), "other.ole"),
        (b"PK\x05\x06" + bytes(18), "empty.zip"),
        (rb"{\rtf1\ansi text}", "a.rtf"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, name: str) -> None:
    with pytest.raises(UnsupportedType):
        found(tmp_path, content, name)


@pytest.mark.parametrize("content", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\0\0\0"])
def test_an_empty_file_is_unreadable(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DocumentUnreadable) as error:
        found(tmp_path, content, "a.txt")
    assert error.value.reason == "empty"


def test_an_office_document_with_a_password_says_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentUnreadable) as error:
        found(tmp_path, ole.ole({"EncryptionInfo": b"x", "EncryptedPackage": b"y"}), "a.docx")
    assert error.value.reason == "encrypted"


def test_embedded_documents_do_not_mislead(tmp_path: Path) -> None:
    sheet = documents.xlsx({"表": [["a"]]})
    content = documents.archive({"word/document.xml": "<a/>", "word/embeddings/book.xlsx": sheet, "xl": "x"})
    assert found(tmp_path, content, "a") == DOCX
    assert found(tmp_path, b"The header of a PDF is %PDF-1.7, of a zip file PK.\n", "a.txt") == "text/plain"


def test_a_damaged_ole_directory_ends(tmp_path: Path) -> None:
    content = bytearray(ole.doc("你好"))
    content[48:52] = b"\0\0\0\0"  # the directory is said to lie where the table is
    with pytest.raises(UnsupportedType):
        found(tmp_path, bytes(content), "a.doc")
    with pytest.raises(UnsupportedType):
        found(tmp_path, bytes(content[:100]), "a.doc")


def test_only_allowed_endings_pass(tmp_path: Path) -> None:
    pdf = documents.english_pdf(["x"])
    assert found(tmp_path, pdf, "a.bin", "pdf", "docx") == "application/pdf"
    with pytest.raises(UnsupportedType):
        found(tmp_path, pdf, "a.docx", "docx")


def test_endings_list_every_format() -> None:
    assert {"pdf", "docx", "doc", "txt", "md", "csv", "xlsx", "xls", "pptx", "epub", "eml", "html", "png", "py"} <= set(
        endings()
    )


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("报告.pdf", "报告.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\王芳\\合同.docx", "合同.docx"),
        ("a\0b\r\nc.txt", "abc.txt"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("  spaced name.md ", "spaced name.md"),
        ("folder/", "folder"),
        ("", "file"),
        ("..", "file"),
        ("/", "file"),
        ("\u202e", "file"),
        ("\ud800.txt", ".txt"),
    ],
)
def test_names_are_made_harmless(given: str, name: str) -> None:
    assert clean_filename(given) == name


def test_a_long_name_keeps_its_ending_and_whole_characters() -> None:
    name = clean_filename("很长的文件名" * 50 + ".docx")
    assert len(name.encode()) <= 255
    assert name.startswith("很长的文件名")
    assert name.endswith(".docx")
    assert len(clean_filename("a." + "b" * 400).encode()) <= 255
