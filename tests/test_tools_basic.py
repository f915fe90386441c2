"""All tools together, and the two that need no network."""

import inspect
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from fakes.contexts import call, tool_context
from models.passages import Passage
from services.tools import all_tools, current_time, search_documents
from utils.settings import Settings

PASSAGE = Passage("d1", "手册.pdf", 13, "年假为十天。超过十年为十五天。", "年假为十天。", 40, 56, 0.8)


def test_the_tools_are_those_of_the_contract() -> None:
    assert [tool.name for tool in all_tools()] == [
        "crawl_site",
        "current_time",
        "search_documents",
        "visit_url",
        "web_search",
    ]
    assert list(search_documents.TOOL.args.model_fields) == ["query"]


@pytest.mark.parametrize("tool", all_tools(), ids=lambda tool: tool.name)
def test_a_model_is_told_what_each_tool_and_argument_is_for(tool) -> None:
    assert 20 < len(tool.description) < 300
    assert inspect.iscoroutinefunction(tool.run)
    for argument in tool.args.model_json_schema()["properties"].values():
        assert len(argument["description"]) > 10


def test_tools_load_none_of_the_heavy_libraries_before_they_are_called() -> None:
    heavy = "trafilatura", "tavily", "httpx", "dashscope"
    code = f"import sys, services.tools as t; t.all_tools(); print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_found_passages_go_to_the_turn_whole() -> None:
    output = call(search_documents.TOOL, tool_context(Settings(), [PASSAGE], documents=1), query="年假")
    assert output.passages == (PASSAGE,)
    assert output.text == ""


def test_a_search_that_finds_nothing_says_so_in_the_language_of_the_turn() -> None:
    for language, words in (("en", "Nothing in the documents"), ("zh", "文档中没有")):
        output = call(search_documents.TOOL, tool_context(Settings(), documents=1, language=language), query="量子")
        assert words in output.text
        assert output.passages == ()


def test_the_document_search_is_offered_only_where_there_are_documents() -> None:
    assert search_documents.TOOL.missing(tool_context(Settings(), documents=2)) is None
    assert "no document" in (search_documents.TOOL.missing(tool_context(Settings())) or "")
    assert "没有" in (search_documents.TOOL.missing(tool_context(Settings(), language="zh")) or "")


def test_an_empty_query_is_refused() -> None:
    with pytest.raises(ValidationError):
        call(search_documents.TOOL, tool_context(Settings()), query="")


@pytest.mark.parametrize(("zone", "offset"), [("Asia/Shanghai", "+08:00"), ("Asia/Kolkata", "+05:30"), ("UTC", "+00:00")])
def test_the_time_is_told_in_the_zone_that_was_asked_for(zone: str, offset: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    text = call(current_time.TOOL, tool_context(Settings()), timezone=zone).text
    told = datetime.fromisoformat(text.split()[0])
    assert before <= told <= datetime.now(UTC)
    assert text.split()[0].endswith(offset)
    assert f"{told:%A} 星期{'一二三四五六日'[told.weekday()]}" in text
    assert text.endswith(f"({zone})")


def test_the_time_is_never_cached_and_needs_no_argument() -> None:
    assert not current_time.TOOL.cacheable
    assert re.search(r"\+00:00 .* \(UTC\)$", call(current_time.TOOL, tool_context(Settings())).text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../../etc/passwd", "/etc/localtime", "北京", "UTC\0"])
def test_an_unknown_zone_is_explained_to_the_model(zone: str) -> None:
    with pytest.raises(ValidationError, match="Asia/Shanghai"):
        call(current_time.TOOL, tool_context(Settings()), timezone=zone)
