"""Plain text, tables, web pages, notebooks, mails and books as text."""

import json

import pytest

from fakes import documents
from fakes.reading import read, text_of
from utils.charsets import decode
from utils.errors import DocumentUnreadable
from utils.loaders import formats
from utils.registry import modules_of
from utils.texts import clean, reflow, table

SIMPLIFIED = "会议纪要\n参会人员：李雷、韩梅梅\n第三季度销售额为1234元。"
TRADITIONAL = "會議紀要\n參會人員：李雷、韓梅梅\n第三季度銷售額為1234元。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *(
            (SIMPLIFIED, name)
            for name in ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "hz")
        ),
        *((TRADITIONAL, name) for name in ("utf-8", "big5", "utf-16-le", "gb18030")),
        ("订单编号 金额 备注", "gb18030"),
        ("姓名,年龄\n王芳,28", "gb18030"),
        ("张伟", "gb18030"),
        ("訂單編號 金額 備註", "big5"),
        ("客戶", "big5"),
        ("名前,年齢\n佐藤太郎,30\n髙橋淳,35", "cp932"),
        ("こんにちは、世界", "euc_jp"),
        ("こんにちは、世界", "iso2022_jp"),
        ("안녕하세요, 서울특별시 강남구", "cp949"),
        ("Отчёт о продажах за третий квартал", "cp1251"),
        ("Отчёт о продажах за третий квартал", "koi8-r"),
        ("Größe der Straße über El niño “sí” café", "cp1252"),
    ],
)
def test_text_is_decoded_whatever_its_encoding(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding), "a.txt") == text


def test_the_first_chinese_character_may_come_late() -> None:
    assert decode(b"x" * 300_000 + SIMPLIFIED.encode("gb18030")).endswith(SIMPLIFIED)


def test_a_broken_byte_does_not_change_the_encoding() -> None:
    assert decode(SIMPLIFIED.encode() * 9 + b"\xff") == SIMPLIFIED * 9 + "\N{REPLACEMENT CHARACTER}"


def test_a_declared_encoding_is_believed_where_it_fits() -> None:
    page = '<?xml version="1.0" encoding="{}"?><a>é</a>'
    assert decode(page.format("iso-8859-2").encode("iso-8859-2")).endswith("<a>é</a>")
    assert decode(page.format("utf-16").encode()).endswith("<a>é</a>")
    assert decode("<meta charset=gb2312>朱镕基".encode("gbk")).endswith("朱镕基")


def test_clean_text_has_no_control_characters_and_few_blank_lines() -> None:
    assert (
        clean("\ufeffa\0b\x07\r\nc\rd\u2028e  \n\n\n\n\n\nf\x85\ud800\n") == "ab\nc\nd\ne\n\n\nf\n\N{REPLACEMENT CHARACTER}"
    )
    assert clean("cafe\u0301") == "café"
    assert clean("    indented") == "    indented"


def test_chinese_sentences_broken_at_the_edge_of_a_page_are_joined() -> None:
    page = (
        "关于调整销售政策的通知\n"
        "第三季度销售额为1234元，同比增长12%。公司在华东地区的业\n"
        "务增长最快，其次是华南地区。为了进一步提升市场份额，经董\n"
        "事会研究决定，实施新的政策。\n"
        "一、总体要求\n"
        "各部门要高度重视，认真学习新政策的各项规定，做好解释工作\n"
        "（一）严格执行。"
    )
    assert reflow(page).splitlines() == [
        "关于调整销售政策的通知",
        "第三季度销售额为1234元，同比增长12%。公司在华东地区的业务增长最快，其次是华南地区。"
        "为了进一步提升市场份额，经董事会研究决定，实施新的政策。",
        "一、总体要求",
        "各部门要高度重视，认真学习新政策的各项规定，做好解释工作",
        "（一）严格执行。",
    ]


@pytest.mark.parametrize(
    "page",
    [
        "姓名 部门 金额\n张三 财务部 1,234.00\n李四 市场部 99.50",
        "北京分公司 财务管理部 张三丰 已完成审批流程二〇二五年\n上海分公司 财务管理部 李四光 已完成审批流程二〇二五年",
        "The quick brown fox jumps over the lazy dog and\ncontinues on the next line",
        "这一段的最后一句话刚好在这一行的末尾结束了没有剩余。\n这是另外一段的第一句话，刚好也写满了整整的一行字哦。",
        "# 标题很长很长很长很长很长很长很长\n\n- 项目一\n- 项目二",
    ],
)
def test_rows_titles_and_paragraphs_stay_lines(page: str) -> None:
    assert reflow(page) == page


def test_spaced_out_titles_and_strange_shapes_are_made_searchable() -> None:
    assert reflow("中 华 人 民 共 和 国\n⽤⼾⻓期 proﬁle") == "中华人民共和国\n用户长期 profile"
    assert reflow("张三 李四\n姓 名") == "张三 李四\n姓 名"


def test_a_table_keeps_its_columns() -> None:
    assert (
        table([["a", "b|c", ""], [], ["1"], ["x\ny", "", "z"]])
        == "| a | b\\|c |  |\n| --- | --- | --- |\n| 1 |\n| x y |  | z |"
    )
    assert table([]) == table([["", ""]]) == ""


def test_json_shows_the_characters_it_escapes() -> None:
    source = json.dumps({"姓名": "王芳 😀", "quote": 'a"b', "path": "c:\\u4e2d"})
    assert text_of(source.encode(), "a.json") == json.dumps(
        {"姓名": "王芳 😀", "quote": 'a"b', "path": "c:\\u4e2d"}, ensure_ascii=False
    )


def test_xml_shows_the_characters_it_refers_to_and_stays_xml() -> None:
    assert text_of(b"<a>&#20013;&#x6587; &#38;&#x3C;&lt;&#233;</a>", "a.xml") == "<a>中文 &#38;&#x3C;&lt;é</a>"


def test_source_code_keeps_its_indentation() -> None:
    assert text_of(b"def f():\n    return 1\n", "a.py") == "def f():\n    return 1"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separated_values_become_a_table(separator: str) -> None:
    rows = [["姓名", "备注"], ["王芳", "好"], ["李雷", f'"a{separator} b"']]
    content = "\r\n".join(separator.join(row) for row in rows).encode("gb18030")
    cell = f"a{separator} b".replace("|", "\\|").replace("\t", "")
    assert text_of(content, "a.csv") == f"| 姓名 | 备注 |\n| --- | --- |\n| 王芳 | 好 |\n| 李雷 | {cell} |"


def test_what_is_no_table_stays_text() -> None:
    assert text_of("一行\n两行".encode(), "a.csv") == "一行\n两行"
    assert text_of(b'a,b\n"' + b"x" * 1_100_000, "a.csv").startswith('a,b\n"xxx')


HTML = """<h1>第一章</h1>intro <b>bo</b>ld<script>var a</script><style>b{}</style><br>next
<ul><li>一<li>二<ol><li>内</ol></ul><a href="https://example.com/a">网址</a> <a href="/b">相对</a>
<table><tr><th>姓名<th>金额</tr><tr><td><p>张三</p><td>1&nbsp;2</table>
<table><tr><td><table><tr><td>x<td>y</table></td><td>layout</td></tr></table>
<pre>def f():
    return 1</pre><p hidden>soft&shy;hyphen</p><noscript>no</noscript>"""


def test_html_keeps_headings_lists_tables_links_and_all_visible_text() -> None:
    assert text_of(documents.html("年度报告", HTML).replace(b"xmlns", b"x"), "a.html") == (
        "# 年度报告\n\n# 第一章\n\nintro bold\nnext\n\n- 一\n- 二\n  1. 内\n\n[网址](https://example.com/a) [相对]\n\n"
        "| 姓名 | 金额 |\n| --- | --- |\n| 张三 | 1 2 |\n\n| x | y |\n| --- | --- |\n\nlayout\n\n"
        "def f():\n    return 1\n\nsofthyphen"
    )


def test_xhtml_with_an_empty_title_loses_nothing() -> None:
    page = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>正文&nbsp;x&hellip;</body></html>'
    assert text_of(page.encode(), "a.html") == "正文 x…"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000 + "正文",
        "<table><tr><td>" * 50_000 + "正文",
        "<p " + " ".join(f"a{number}=1" for number in range(200_000)) + ">正文",
        "<!--" + "<p" * 100_000 + "-->正文",
    ],
)
def test_hostile_html_is_read_in_time(page: str) -> None:
    assert text_of(page.encode(), "a.html").strip().endswith("正文")


def test_a_notebook_gives_text_code_and_output() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# 分析\n", "说明"]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["结果\n"]}, {"data": {"text/plain": "42"}}]},
    ]
    source = json.dumps({"nbformat": 4, "cells": cells, "metadata": {"kernelspec": {"language": "python"}}})
    assert text_of(source.encode(), "a.ipynb") == "# 分析\n说明\n\n```python\nprint(1)\n```\n\n结果\n\n\n42"


def test_a_damaged_notebook_is_unreadable() -> None:
    for source in ('{"cells": [', '{"cells": ' + "[" * 100_000, '{"cells": 3}'):
        with pytest.raises(DocumentUnreadable):
            read(source.encode(), "a.ipynb")


def test_a_mail_gives_its_head_its_text_and_the_names_of_what_is_attached() -> None:
    mail = documents.eml("季度报告", "正文在此\n", html_text="<p>另一种</p>", attachments={"附件.pdf": b"%PDF"})
    assert text_of(mail, "a.eml") == (
        "From: 王芳 <wang@example.com>\nTo: team@example.com\nSubject: 季度报告\nDate: Mon, 03 Mar 2025 09:30:00 +0800\n\n"
        "正文在此\n\n\n[附件.pdf]"
    )


def test_mails_with_bytes_of_an_undeclared_encoding_are_read() -> None:
    mail = b"From: a@example.com\nSubject: " + "会议通知".encode("gb18030") + b"\n\n" + SIMPLIFIED.encode("gb18030")
    assert text_of(mail, "a.eml") == f"From: a@example.com\nSubject: 会议通知\n\n{SIMPLIFIED}"


def test_a_mail_in_html_only_is_read() -> None:
    mail = b"From: a\nMIME-Version: 1.0\nContent-Type: text/html; charset=gb2312\n\n" + "<p>你好</p>".encode("gb2312")
    assert text_of(mail, "a.eml").endswith("你好")


@pytest.mark.timeout(20)
def test_hostile_mails_end() -> None:
    assert text_of(b"From: " + b"=?utf-8?q?x?= " * 200_000 + b"\nSubject: x\n\nhi", "a.eml") == "Subject: x\n\nhi"
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3_000))
    with pytest.raises(DocumentUnreadable):
        read(b"From: a\nSubject: x\n" + nested, "a.eml")


def test_a_book_is_read_in_the_order_of_its_spine() -> None:
    pages = read(documents.epub([("第一章", "开始"), ("第二章", "中间"), ("第三章", "结束")]), "a.epub")
    assert [page.text for page in pages] == ["# 第一章\n\n开始", "# 第二章\n\n中间", "# 第三章\n\n结束"]
    assert {page.number for page in pages} == {None}


def test_a_protected_book_says_so() -> None:
    opf = '<package><manifest><item id="a" href="a.xhtml"/></manifest><spine><itemref idref="a"/></spine></package>'
    members = {
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="o.opf"/></rootfiles></container>',
        "META-INF/encryption.xml": '<encryption><CipherReference URI="a.xhtml"/></encryption>',
        "o.opf": opf,
        "a.xhtml": "garbage",
    }
    with pytest.raises(DocumentUnreadable) as error:
        read(documents.archive(members), "a.epub")
    assert error.value.reason == "encrypted"


def test_every_loader_names_its_formats_and_no_ending_is_claimed_by_two() -> None:
    assert all(module.FORMATS and callable(module.load) for module in modules_of("utils.loaders"))
    claims = {(ending, form.media_type) for form in formats() for ending in form.endings}
    assert len({ending for ending, _ in claims}) == len(claims)
