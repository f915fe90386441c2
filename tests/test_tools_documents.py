"""The tools for documents: search, description, pages."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from fakes.contexts import CONTRACT, HANDBOOK, call, tool_context
from models.conversations import ReadyDocument
from models.document_names import named
from models.knowledge_bases import ReadyBase, UnreadyDocument
from models.passages import Passage
from models.prompts import (
    NOT_THERE,
    WEAK,
    WEAK_DOCUMENT,
    WEAK_QUERY,
    language_of,
    library_block,
    read_base_sizes,
    read_document_names,
    read_unready,
)
from services.tools import describe_documents, read_document, search_documents
from utils.errors import DocumentUnreadable
from utils.settings import Settings

SETTINGS = Settings()
LEAVE = Passage("d1", HANDBOOK.filename, 13, "年假为十天。超过十年为十五天。", "年假为十天。", 40, 56, 0.8)
TOOLS = [search_documents.TOOL, describe_documents.TOOL, read_document.TOOL]
BOTH = [HANDBOOK, CONTRACT]


def hit(document: ReadyDocument, start: int, score: float = 0.8, text: str = "") -> Passage:
    text = text or f"{document.id} 的第 {start} 条年假规定。"
    return Passage(document.id, document.filename, 1, text, text, start, start + len(text), score)


def search(context, **args):
    return call(search_documents.TOOL, context, **args)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_they_are_offered_only_where_there_are_documents_or_bases(tool) -> None:
    assert tool.missing(tool_context(SETTINGS, documents=BOTH)) is None
    assert tool.missing(tool_context(SETTINGS, bases=[ReadyBase("b", "规章", 1)])) is None
    assert "no document" in (tool.missing(tool_context(SETTINGS)) or "")
    assert "没有" in (tool.missing(tool_context(SETTINGS, language="zh")) or "")


def test_found_passages_go_to_the_turn_whole() -> None:
    output = search(tool_context(SETTINGS, [LEAVE], BOTH), query="年假")
    assert output.passages == (LEAVE,)
    assert output.text == ""


def test_a_search_that_finds_nothing_says_so_in_the_language_of_the_turn() -> None:
    for language in ("en", "zh"):
        output = search(tool_context(SETTINGS, documents=BOTH, language=language), query="量子")
        assert output.text == NOT_THERE[language]
        assert output.passages == ()


def test_an_empty_query_and_too_many_queries_are_refused() -> None:
    for args in ({"query": ""}, {"query": "x", "queries": ["a"] * 5}):
        with pytest.raises(ValidationError):
            search(tool_context(SETTINGS), **args)


def test_a_list_may_be_a_single_string_or_null() -> None:
    args = search_documents.TOOL.args.model_validate({"query": "x", "queries": None, "documents": "员工手册"})
    assert (args.queries, args.documents) == ([], ["员工手册"])


def finding(found: dict[str, list[Passage]], **options):
    """A context whose search finds what stands under the query."""

    async def by_query(query, documents=None, k=8, /):
        ids = {document.id for document in documents or ()}
        return [passage for passage in found.get(query, []) if documents is None or passage.document_id in ids][:k]

    return replace(tool_context(SETTINGS, documents=BOTH, **options), search=by_query)


def test_the_hits_of_several_queries_are_interleaved_without_duplicates_within_the_usual_size() -> None:
    first = [hit(HANDBOOK, start) for start in range(8)]
    second = [first[1], *(hit(CONTRACT, start) for start in range(8))]
    output = search(finding({"年假和病假": first, "病假": second}), query="年假和病假", queries=["病假"])
    assert output.passages[:4] == (first[0], first[1], second[1], first[2])
    assert len(output.passages) == len(set(output.passages)) == 8


def test_the_best_of_each_query_is_in_and_one_summary_at_most() -> None:
    summaries = [replace(hit(document, 0), summary=True) for document in BOTH]
    found = {f"q{n}": [*summaries, *(hit(HANDBOOK, 10 * n + rank) for rank in range(1, 9))] for n in range(5)}
    output = search(finding(found), query="q0", queries=["q1", "q2", "q3", "q4"])
    assert {10 * n + 1 for n in range(5)} <= {passage.start for passage in output.passages}
    assert len(output.passages) == 9 and sum(passage.summary for passage in output.passages) == 1


def test_a_search_may_be_narrowed_to_documents_by_name() -> None:
    context = finding({"假": [hit(CONTRACT, 0), LEAVE]})
    for name in ("员工手册.pdf", "员工手册", "《员工手册》", "员工手册.PDF", "d1"):
        assert search(context, query="假", documents=[name]).passages == (LEAVE,)
    assert [p.document_id for p in search(context, query="假", documents=["ｃｏｎｔｒａｃｔ  a"]).passages] == ["d2"]


def test_an_unknown_name_gives_the_names() -> None:
    output = search(finding({"假": [LEAVE]}), query="假", documents=["合同B"])
    assert output.passages == () and "合同B" in output.text
    assert "- 员工手册.pdf\n- Contract A.docx" in output.text
    partly = search(finding({"假": [LEAVE]}, language="zh"), query="假", documents=["合同B", "员工手册"])
    assert partly.passages == (LEAVE,) and "没有名为 “合同B” 的文档" in partly.text


def test_two_named_documents_are_searched_side_by_side() -> None:
    found = [*(hit(HANDBOOK, start, 0.9) for start in range(8)), *(hit(CONTRACT, start, 0.3) for start in range(8))]
    output = search(finding({"付款": found}), query="付款", documents=["员工手册", "Contract A"])
    assert [passage.document_id for passage in output.passages] == ["d1"] * 4 + ["d2"] * 4
    assert output.text == ""


def test_of_two_documents_the_one_without_an_answer_is_named() -> None:
    found = [hit(HANDBOOK, 0), hit(CONTRACT, 0, 0.05)]
    output = search(finding({"付款": found}, language="zh"), query="付款", documents=["员工手册", "Contract A"])
    assert output.text == WEAK_DOCUMENT["zh"].format(CONTRACT.filename)
    assert [passage.weak for passage in output.passages] == [False, True]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_passages_that_hardly_fit_are_shown_as_weak(language) -> None:
    output = search(finding({"火星": [hit(HANDBOOK, 0, 0.2)]}, language=language), query="火星")
    assert output.text == WEAK[language]
    assert [passage.weak for passage in output.passages] == [True]


def test_a_passage_with_the_words_of_the_query_is_not_weak() -> None:
    assert search(finding({"年假天数": [hit(HANDBOOK, 0, 0.1)]}), query="年假天数").text == WEAK["en"]
    assert search(finding({"年假": [hit(HANDBOOK, 0, 0.1)]}), query="年假").text == ""


def test_less_is_asked_of_a_passage_in_the_other_language() -> None:
    english = hit(CONTRACT, 0, 0.2, "Annual leave is ten days. 王芳")
    assert search(finding({"年假": [english]}), query="年假").text == ""
    assert search(finding({"holidays": [english]}), query="holidays").text == WEAK["en"]
    assert search(finding({"leave": [hit(HANDBOOK, 0, 0.2)]}), query="leave").text == ""


def test_a_part_of_the_question_that_the_documents_do_not_answer_is_named() -> None:
    found = {"年假和产假": [LEAVE], "年假": [LEAVE], "产假": [hit(HANDBOOK, 7, 0.1, "会议的规定。")]}
    output = search(finding(found), query="年假和产假", queries=["年假", "产假"])
    assert output.text == WEAK_QUERY["en"].format("产假")
    assert [(passage.start, passage.weak) for passage in output.passages] == [(40, False), (7, True)]


def test_names_are_matched_whole_before_their_stems_and_doubles_are_all_meant() -> None:
    documents = [
        ReadyDocument("a", "报告"),
        ReadyDocument("b", "报告.pdf"),
        ReadyDocument("c", "報告.docx"),
        ReadyDocument("d", "报告.PDF"),
    ]
    assert [found.id for found in named(["报告"], documents)[0]] == ["a"]
    assert [found.id for found in named(["报告.pdf"], documents)[0]] == ["b", "d"]
    assert named(["报", "报告.doc"], documents) == ([], ["报", "报告.doc"])


def test_each_document_is_described() -> None:
    context = tool_context(SETTINGS, documents=BOTH, pages=["一", "二"], summaries=["关于假期。", "A contract."])
    output = call(describe_documents.TOOL, context)
    assert output.text.startswith(
        "员工手册.pdf (2 pages)\n关于假期。\nHeadings: 总则 · 年假\n\nContract A.docx (2 pages)\nA contract."
    )
    assert output.passages == ()
    one = call(describe_documents.TOOL, context, documents=["contract a"])
    assert "A contract." in one.text and "关于假期" not in one.text
    assert "There is no document “x”" in call(describe_documents.TOOL, context, documents=["x"]).text


def test_of_many_documents_a_page_is_described_that_fits_and_says_how_to_go_on() -> None:
    shelf = [ReadyDocument(f"k{n}", f"文件{n}.txt") for n in range(3_000)]
    context = tool_context(
        SETTINGS, bases=[ReadyBase("b", "库", 1)], shelf=shelf, summaries=["长。" * 1_000] * 3_000, room=4_000
    )
    first = call(describe_documents.TOOL, context)
    assert len(first.text) <= 4_000 and "文件0.txt" in first.text
    shown = first.text.count(".txt")
    assert 10 < shown < 3_000 and f"documents 1 to {shown} of 3000; go on with first={shown + 1}" in first.text
    last = call(describe_documents.TOOL, context, first=3_000)
    assert "文件2999.txt" in last.text and "go on" not in last.text
    assert "no number 3001" in call(describe_documents.TOOL, context, first=3_001).text


def test_many_names_are_cut() -> None:
    shelf = [ReadyDocument(f"k{n}", f"文件{n}.txt") for n in range(3_000)]
    output = search(tool_context(SETTINGS, bases=[ReadyBase("b", "库", 1)], shelf=shelf), query="x", documents=["没有"])
    assert len(output.text) < 2_000 and "and 2" in output.text


def read(context, **args):
    return call(read_document.TOOL, context, **args)


PAGES = [f"第{n}页的内容。这里有更多的字。" for n in range(1, 21)]


def test_pages_become_passages_that_can_be_cited() -> None:
    output = read(tool_context(SETTINGS, documents=[HANDBOOK], pages=PAGES), document="员工手册", first_page=3, last_page=5)
    assert output.text == "员工手册.pdf: pages 3 to 5 of 20."
    assert [(passage.page, passage.text) for passage in output.passages] == [(n, PAGES[n - 1]) for n in (3, 4, 5)]
    assert output.passages[0].quote == "第3页的内容。" and output.passages[0].document_id == "d1"


def test_the_only_document_needs_no_name_and_of_several_one_must_be_named() -> None:
    assert len(read(tool_context(SETTINGS, documents=[HANDBOOK], pages=PAGES), first_page=2).passages) == 1
    output = read(tool_context(SETTINGS, documents=BOTH, pages=PAGES, language="zh"), first_page=2)
    assert output.passages == () and output.text == "请指明文档。\n- 员工手册.pdf（共 20 页）\n- Contract A.docx（共 20 页）"
    assert "There is no document “x”" in read(tool_context(SETTINGS, documents=BOTH, pages=PAGES), document="x").text


def test_the_only_document_with_pages_or_with_as_many_needs_no_name() -> None:
    one = tool_context(SETTINGS, documents=BOTH, pages={"d1": PAGES}, language="zh")
    assert read(one, first_page=3).passages[0].document_id == "d1"
    assert read(one, first_page=21).text == "员工手册.pdf 共 20 页，没有第 21 页。"
    two = tool_context(SETTINGS, documents=BOTH, pages={"d1": PAGES, "d2": PAGES[:3]})
    assert read(two, first_page=4).passages[0].document_id == "d1"
    assert "- Contract A.docx (3 pages)" in read(two, first_page=3).text
    assert "No document has that many pages. Name the document." in read(two, first_page=21).text


def test_a_part_of_one_name_alone_names_the_document_whose_pages_are_read() -> None:
    third = ReadyDocument("d3", "旧员工手册.pdf")
    assert read(tool_context(SETTINGS, documents=BOTH, pages=PAGES), document="手册", first_page=9).passages[0].page == 9
    several = tool_context(SETTINGS, documents=[*BOTH, third], pages=PAGES, language="zh")
    assert read(several, document="手册").text == "请指明文档。\n- 员工手册.pdf（共 20 页）\n- 旧员工手册.pdf（共 20 页）"


@pytest.mark.parametrize(
    ("first", "last", "pages"), [(-1, 0, [20]), (-3, -1, [18, 19, 20]), (-2, -2, [19]), (19, -1, [19, 20])]
)
def test_pages_are_counted_from_the_end_too(first: int, last: int, pages: list[int]) -> None:
    output = read(tool_context(SETTINGS, documents=[HANDBOOK], pages=PAGES), first_page=first, last_page=last)
    assert [passage.page for passage in output.passages] == pages


COPY = ReadyDocument("k1", HANDBOOK.filename)
BASE = ReadyBase("b", "规章", 1)


def test_of_documents_with_one_name_that_of_the_session_is_meant() -> None:
    context = tool_context(
        SETTINGS, documents=[HANDBOOK], bases=[BASE], shelf=[COPY], pages=PAGES, summaries=["本会话。", "库。"]
    )
    assert read(context, first_page=2).passages[0].document_id == "d1"
    assert read(context, document="员工手册", first_page=2).passages[0].document_id == "d1"
    assert "库。" not in call(describe_documents.TOOL, context, documents=["员工手册"]).text


def test_a_text_that_two_documents_hold_is_shown_once_as_that_of_the_session() -> None:
    copies = [hit(COPY, 0, 0.9, "年假十天。"), hit(HANDBOOK, 0, 0.8, "年假十天。"), hit(COPY, 1, 0.7, "病假三天。")]
    context = tool_context(SETTINGS, copies, [HANDBOOK], bases=[BASE], shelf=[COPY])
    assert [(one.document_id, one.text) for one in search(context, query="假").passages] == [
        ("d1", "年假十天。"),
        ("k1", "病假三天。"),
    ]


def test_of_documents_that_are_compared_each_shows_what_both_say() -> None:
    same = [hit(HANDBOOK, 0, 0.9, "年假十天。"), hit(CONTRACT, 0, 0.8, "年假十天。")]
    output = search(finding({"年假": same}), query="年假", documents=["员工手册", "Contract A"])
    assert [passage.document_id for passage in output.passages] == ["d1", "d2"]


def test_names_are_listed_without_summaries() -> None:
    shelf = [ReadyDocument(f"k{n}", f"文件{n}.txt") for n in range(3_000)]
    context = tool_context(SETTINGS, documents=BOTH, bases=[BASE], shelf=shelf, room=4_000)
    output = call(describe_documents.TOOL, context, names_only=True)
    assert output.text.startswith("- 员工手册.pdf\n- Contract A.docx\n- 文件0.txt\n") and len(output.text) <= 4_000
    shown = output.text.count("\n- ") + 1
    assert f"documents 1 to {shown} of 3002; go on with first={shown + 1}" in output.text


def test_a_name_is_found_behind_the_words_of_a_sentence() -> None:
    documents = [ReadyDocument("a", "和平协议.pdf"), ReadyDocument("b", "手册.pdf")]
    assert [one.id for one in named(["请比较和平协议.pdf", "总结一下手册.pdf"], documents)[0]] == ["a", "b"]
    assert named(["员工手册.pdf"], documents) == ([], ["员工手册.pdf"])


@pytest.mark.parametrize(("query", "weak"), [("月租多少钱", False), ("租到什么时候", False), ("火星多远", True)])
def test_in_a_short_query_each_character_counts(query: str, weak: bool) -> None:
    found = hit(HANDBOOK, 0, 0.1, "租金为每月五千元，租期至年底。")
    assert [one.weak for one in search(finding({query: [found]}), query=query).passages] == [weak]


def test_pages_past_the_end_and_without_text_are_named() -> None:
    context = tool_context(SETTINGS, documents=[HANDBOOK], pages=["一。", " ", "三。"])
    assert "there is no page 4" in read(context, first_page=4, last_page=9).text
    zh = replace(context, language="zh")
    assert read(zh, first_page=4).text == "员工手册.pdf 共 3 页，没有第 4 页。"
    assert (
        read(zh, first_page=2, summary=True).text == "员工手册.pdf：第 2 页，共 3 页。没有文字：2。以下是各页最核心的句子。"
    )
    output = read(context, first_page=2, last_page=9)
    assert output.text == "员工手册.pdf: pages 2 to 3 of 3. Without text: 2."
    assert [passage.page for passage in output.passages] == [3]


def test_what_there_is_no_room_for_is_left_out_and_the_next_call_goes_on() -> None:
    pages = ["甲" * 900, "乙" * 900, "丙" * 900]
    context = tool_context(SETTINGS, documents=[HANDBOOK], pages=pages, room=2_400)
    output = read(context, first_page=1, last_page=3)
    assert [passage.page for passage in output.passages] == [1, 2]
    assert "go on with first_page=3" in output.text
    narrow = replace(context, room=lambda: 1_000)
    text, offset = "", 0
    for _ in range(3):
        output = read(narrow, first_page=1, last_page=1, offset=offset)
        assert output.passages[0].start == 100 + offset
        text += output.passages[0].text
        offset = len(text)
        assert (f"offset={offset}" in output.text) == (offset < 900)
        if offset == 900:
            break
    assert text == pages[0]


def test_a_document_without_pages_is_read_in_parts() -> None:
    context = tool_context(SETTINGS, documents=[CONTRACT], pages=["one", "two", "three"], paged=False)
    output = read(context, first_page=2)
    assert output.text == "Contract A.docx has no pages: part 2 of 3."
    [passage] = output.passages
    assert (passage.page, passage.text, passage.context) == (None, "two", "part 2 of 3")


def test_a_summary_gives_the_central_sentences_of_each_page() -> None:
    pages = ["甲说了很多。" * 500, "乙说了很多。" * 500]
    output = read(tool_context(SETTINGS, documents=[HANDBOOK], pages=pages), first_page=1, last_page=2, summary=True)
    assert [passage.page for passage in output.passages] == [1, 2]
    assert all(len(passage.text) <= 600 and passage.quote in pages[n] for n, passage in enumerate(output.passages))
    assert "central sentences" in output.text


def test_a_model_is_told_the_names_of_documents_and_the_sizes_of_bases() -> None:
    names = [f"文件{n}.txt" for n in range(3_000)]
    block = library_block(names, [ReadyBase("b", "规章", 1, 1_204)], "zh")
    assert "- 文件0.txt\n- 文件1.txt\n" in block and "- 规章（1204 份文档）" in block
    assert len(block) < 2_500 and "另外 2" in block
    english = library_block([], [ReadyBase("b", "Rules", 1, 3)], "en")
    assert "- Rules (3 documents)\nUse search_documents" in english
    assert library_block([], [], "en") == ""


@pytest.mark.parametrize(
    ("language", "reading", "damaged"),
    [
        ("en", "报告.pdf: it is still being read.", "坏.pdf: The document cannot be read: the file is damaged."),
        ("zh", "报告.pdf：正在读取，请稍候。", "坏.pdf：无法读取该文档：文件已损坏。"),
    ],
)
def test_a_model_is_told_of_documents_that_cannot_be_searched(language, reading: str, damaged: str) -> None:
    unready = [UnreadyDocument("报告.pdf"), UnreadyDocument("坏.pdf", DocumentUnreadable("damaged"))]
    alone = library_block([], [], language, unready)
    assert read_unready(alone) == [reading, damaged] and "search_documents" not in alone
    assert read_unready(library_block(["a.pdf"], [], language, unready)) == [reading, damaged]
    assert read_unready(library_block(["a.pdf"], [], language)) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_sizes_of_bases_can_be_read_back(language) -> None:
    bases = [ReadyBase("b", "规章（旧）", 1, 1_204), ReadyBase("c", "Rules (7 documents)", 1, 3)]
    assert read_base_sizes("系统\n\n" + library_block(["a.pdf"], bases, language)) == [1_204, 3]
    assert read_base_sizes(library_block(["a.pdf"], [], language)) == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Summarise pages 2 to 3 of 新办法.pdf", "en"),
        ("Compare 新办法.pdf and 旧办法.pdf", "en"),
        ("What does 新办法 say about leave?", "en"),
        ("总结新办法.pdf", "zh"),
        ("新办法.pdf", "zh"),
        ("新办法", "zh"),
        ("新办法里 leave 是什么", "zh"),
    ],
)
def test_names_of_files_do_not_say_which_language_a_question_is_in(text: str, language: str) -> None:
    assert language_of(text, ["新办法.pdf"]) == language


def test_the_names_that_a_model_is_told_can_be_read_back() -> None:
    own = "Documents of this conversation:\n- 旧.pdf"
    for language in ("en", "zh"):
        block = library_block(["a, b.pdf", "员工手册.pdf"], [ReadyBase("b", "规章", 1)], language)
        assert read_document_names(f"{own}\n\n{block}") == (["a, b.pdf", "员工手册.pdf"])
    assert read_document_names("You are helpful.") == []
