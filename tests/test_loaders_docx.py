"""Word documents, from 97 to now."""

import os
import zipfile
from io import BytesIO
from itertools import pairwise

import pytest

from fakes import documents, ole
from fakes.documents import docx_of
from fakes.reading import read, text_of
from utils.errors import DocumentUnreadable
from utils.word_lists import spell


def p(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def cell(*paragraphs: str) -> str:
    return "<w:tc>" + "".join(map(p, paragraphs)) + "</w:tc>"


def blocks(body: str, **parts: str) -> list[str]:
    return text_of(docx_of(body, **parts), "a.docx").split("\n\n")


def replaced(content: bytes, **members: str | bytes) -> bytes:
    """The document with other contents of parts, named without their folder and ending."""
    with zipfile.ZipFile(BytesIO(content)) as file:
        found = {name: file.read(name) for name in file.namelist()}
    return documents.archive(found | {f"word/{name}.xml": new for name, new in members.items()})


def test_paragraphs_and_headings_come_in_order() -> None:
    body = p("总则", '<w:outlineLvl w:val="0"/>') + p("正文一") + p("细则", '<w:pStyle w:val="2"/>') + p("正文二")
    assert blocks(body) == ["# 总则", "正文一", "## 细则", "正文二"]


def test_everything_that_word_shows_is_there() -> None:
    body = """<w:p><w:r><w:t>开头</w:t><w:tab/><w:t>A</w:t><w:br/><w:t>B</w:t></w:r>
      <w:hyperlink><w:r><w:t>链接</w:t></w:r></w:hyperlink><w:smartTag><w:r><w:t>标记</w:t></w:r></w:smartTag>
      <w:ins><w:r><w:t>插入</w:t></w:r></w:ins><w:del><w:r><w:delText>删除</w:delText><w:t>也删</w:t></w:r></w:del>
      <w:fldSimple><w:r><w:t>域</w:t></w:r></w:fldSimple><w:r><w:instrText>PAGE</w:instrText></w:r>
      <w:sdt><w:sdtPr><w:alias w:val="x"/></w:sdtPr><w:sdtContent><w:r><w:t>控件</w:t></w:r></w:sdtContent></w:sdt></w:p>
      <w:sdt><w:sdtContent><w:p><w:r><w:t>整段控件</w:t></w:r></w:p></w:sdtContent></w:sdt>"""
    assert blocks(body) == ["开头\tA\nB链接标记插入域控件", "整段控件"]


def test_a_text_box_is_read_once() -> None:
    box = "<w:txbxContent>" + p("框中文字") + "</w:txbxContent>"
    body = f"""<w:p><w:r><w:t>旁边</w:t></w:r><w:r><mc:AlternateContent>
      <mc:Choice Requires="wps"><w:drawing><wps:txbx>{box}</wps:txbx></w:drawing></mc:Choice>
      <mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>"""
    assert blocks(body) == ["旁边", "框中文字"]
    old = f"<w:p><w:r><w:pict><v:textbox>{box}</v:textbox></w:pict></w:r></w:p>"
    assert blocks(old) == ["框中文字"]


def test_notes_stand_below_their_paragraph() -> None:
    note = '<w:footnote w:id="2"><w:p><w:r><w:t>脚注</w:t></w:r></w:p></w:footnote>'
    end = '<w:endnote w:id="2"><w:p><w:r><w:t>尾注</w:t></w:r></w:p></w:endnote>'
    body = (
        '<w:p><w:r><w:t>句子</w:t><w:footnoteReference w:id="2"/><w:t>继续。</w:t></w:r></w:p>'
        '<w:p><w:r><w:t>另一段</w:t><w:endnoteReference w:id="2"/></w:r></w:p>'
    )
    assert blocks(body, footnotes=note, endnotes=end) == ["句子继续。", "[1] 脚注", "另一段", "[2] 尾注"]


@pytest.mark.parametrize(
    ("header", "body", "footer"),
    [
        ("星河项目组 机密", "星河项目周报", "仅供内部使用"),
        ("Galaxy team, confidential", "Weekly report", "For internal use"),
    ],
)
def test_headers_and_footers_come_once_apart_from_the_body(header: str, body: str, footer: str) -> None:
    pages = read(docx_of(p(body), header=p(header), footer=p(footer)), "a.docx")
    assert [(page.text, page.apart) for page in pages] == [(body, False), (f"{header}\n\n{footer}", True)]
    same = read(docx_of(p(body), header=p(header), footer=p(header)), "a.docx")
    assert [page.text for page in same] == [body, header]
    numbered = docx_of(p(body), footer="<w:p><w:r><w:t>- 1 -</w:t></w:r></w:p>")
    assert [page.text for page in read(numbered, "a.docx")] == [body]


def style(name: str, properties: str = "", base: str = "") -> str:
    based = f'<w:basedOn w:val="{base}"/>' if base else ""
    return f'<w:style w:styleId="{name}"><w:name w:val="{name}"/>{based}<w:pPr>{properties}</w:pPr></w:style>'


@pytest.mark.parametrize(
    ("title", "subtitle", "first", "second"),
    [
        ("Title", "Subtitle", "heading 1", "Heading 2"),
        ("标题", "副标题", "标题 1", "标题2"),
        ("title", "副標題", "一级标题", "二級標題"),
    ],
)
def test_titles_and_headings_are_known_by_their_names(title: str, subtitle: str, first: str, second: str) -> None:
    names = [title, subtitle, first, second]
    styles = "".join(style(name, '<w:outlineLvl w:val="0"/>' if name == title else "") for name in names)
    styles += style("own", base=title)
    used = "".join(p(name, f'<w:pStyle w:val="{name}"/>') for name in names)
    below = [f"# {title}", f"## {subtitle}", f"## {first}", f"### {second}"]
    assert blocks(used + p("正文"), styles=styles) == [*below, "正文"]
    assert blocks(p("附件", '<w:pStyle w:val="own"/>'), styles=styles) == ["# 附件"]
    untitled = "".join(p(name, f'<w:pStyle w:val="{name}"/>') for name in names[2:])
    assert blocks(untitled, styles=styles) == [f"# {first}", f"## {second}"]


def test_rows_of_a_table_are_lines_and_cells_are_separated_by_tabs() -> None:
    rows = f"<w:tr>{cell('姓名')}{cell('备注')}</w:tr><w:tr>{cell('张三')}{cell('第一行', '第二行')}</w:tr>"
    inner = f"<w:tbl><w:tr>{cell('内一')}{cell('内二')}</w:tr></w:tbl>"
    wrapped = f"<w:sdt><w:sdtContent><w:tr>{cell('控件行')}<w:tc>{inner}</w:tc></w:tr></w:sdtContent></w:sdt>"
    deleted = f"<w:tr><w:trPr><w:del/></w:trPr>{cell('删除的行')}</w:tr>"
    assert blocks(f"<w:tbl>{rows}{wrapped}{deleted}</w:tbl>") == ["姓名\t备注\n张三\t第一行 第二行\n控件行\t内一 内二"]


def test_long_cells_keep_their_paragraphs() -> None:
    essay = ["长段落" * 40, "又一段" * 40]
    assert blocks(f"<w:tbl><w:tr>{cell('申请理由')}{cell(*essay)}</w:tr></w:tbl>") == ["\n".join(["申请理由", *essay])]


NUMBERING = """<w:abstractNum w:abstractNumId="7">
  <w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="chineseCountingThousand"/><w:lvlText w:val="第%1条"/></w:lvl>
  <w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:isLgl/><w:lvlText w:val="%1.%2"/></w:lvl>
  <w:lvl w:ilvl="2"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1(%3)"/></w:lvl></w:abstractNum>
<w:abstractNum w:abstractNumId="8">
  <w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="&#xF0B7;"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="7"/>
  <w:lvlOverride w:ilvl="0"><w:startOverride w:val="10"/></w:lvlOverride></w:num>"""


def item(text: str, number: int, level: int = 0) -> str:
    return p(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def test_paragraphs_carry_the_numbers_that_word_draws() -> None:
    body = item("甲", 1) + item("a", 1, 1) + item("b", 1, 1) + item("乙", 1) + item("c", 1, 1) + item("d", 1, 2)
    found = blocks(body + item("点", 2) + item("丙", 3), numbering=NUMBERING)
    assert found[:3] == ["第一条 甲", "  1.1 a", "  1.2 b"]
    assert found[3:] == ["第二条 乙", "  2.1 c", "    二(a) d", "- 点", "第十条 丙"]


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (4, "lowerRoman", "iv"),
        (1994, "upperRoman", "MCMXCIV"),
        (28, "lowerLetter", "bb"),
        (10, "chineseCounting", "十"),
        (15, "chineseCounting", "十五"),
        (20, "chineseCounting", "二十"),
        (105, "chineseCountingThousand", "一百零五"),
        (3, "decimalEnclosedCircle", "③"),
        (3, "decimalZero", "03"),
        (3, "none", ""),
        (3, "somethingElse", "3"),
    ],
)
def test_numbers_are_spelled_as_word_does(number: int, kind: str, text: str) -> None:
    assert spell(number, kind) == text


def test_a_strict_document_is_read() -> None:
    body = (
        '<w:document xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"><w:body>'
        + p("严格")
        + "</w:body></w:document>"
    )
    assert text_of(replaced(documents.docx([]), document=body), "a.docx") == "严格"


@pytest.mark.parametrize("words", ["见附图", "See below"])
def test_words_beside_a_picture_without_text_were_not_read_by_ocr(words: str) -> None:
    with zipfile.ZipFile(BytesIO(documents.docx([words]))) as file:
        members: dict[str, str | bytes] = {name: file.read(name) for name in file.namelist()}
    content = documents.archive(members | {"word/media/image1.png": documents.text_image([])})
    assert [(page.text, page.method) for page in read(content, "a.docx", ocr=lambda _: "")] == [(words, "text")]


def test_the_pictures_of_a_scanned_document_are_read_by_ocr() -> None:
    content = documents.docx([])
    with zipfile.ZipFile(BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members |= {"word/media/image1.png": documents.text_image(["字"]), "word/media/image2.png": b"damaged"}
    pages = read(documents.archive(members), "a.docx", ocr=lambda image: f"{image.mode} 图中文字")
    assert [(page.text.strip(), page.method) for page in pages] == [("RGB 图中文字", "ocr")]


def reason(content: bytes, name: str = "a.docx") -> str:
    with pytest.raises(DocumentUnreadable) as error:
        read(content, name)
    return error.value.reason


def test_a_zip_bomb_is_refused() -> None:
    assert reason(replaced(documents.docx([]), document=b"<a>" + b" " * 20_000_000)) == "too_large"
    many = documents.archive({"word/document.xml": b"<a/>"} | {f"word/{n}": b"" for n in range(20_001)})
    assert reason(many) == "too_large"


def test_a_table_that_would_fill_the_memory_is_refused() -> None:
    noise = os.urandom(300_000).hex()
    body = "<w:tbl><w:tr>" + "<w:tc/>" * 4_100_000 + f"</w:tr></w:tbl>{noise}"
    assert reason(docx_of(body)) == "too_complex"


def test_entities_are_not_expanded() -> None:
    levels = "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in pairwise("abcdefghij"))
    head = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{levels}<!ENTITY file SYSTEM "file:///etc/passwd">]>'
    body = docx_of(p("前&amp;后"))
    with zipfile.ZipFile(BytesIO(body)) as file:
        xml = file.read("word/document.xml").decode()
    text = text_of(replaced(body, document=head + xml.replace("前", "前&j;&file;")), "a.docx")
    assert "root:" not in text
    assert "aaaa" not in text


def test_damaged_documents_are_unreadable() -> None:
    content = documents.docx(["你好"])
    assert reason(replaced(content, document=b"no xml")) == "damaged"
    start = content.index(b"word/document.xml") + 20
    assert reason(content[:start] + b"\xff" * 40 + content[start + 40 :]) == "damaged"


def test_old_word_documents_are_read() -> None:
    text = '第一段\r第二段 \x13 HYPERLINK "http://x" \x14链接\x13 PAGE \x15\x15。\r甲\x07乙\x07\x07尾'
    assert text_of(ole.doc(text), "a.doc") == "第一段\n第二段 链接。\n甲\t乙\n尾"


def test_old_word_documents_with_a_password_or_damage_say_so() -> None:
    assert reason(ole.doc("秘密", encrypted=True), "a.doc") == "encrypted"
    assert reason(ole.ole({"WordDocument": b"\xec\xa5\xc1\0" + bytes(500)}), "a.doc") == "damaged"
