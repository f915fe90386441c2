"""All tools together, and the two that need no network."""

import inspect
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from fakes.contexts import call, tool_context
from services.tools import all_tools, current_time, search_documents
from utils.settings import Settings


def test_the_tools_are_those_of_the_contract() -> None:
    assert [tool.name for tool in all_tools()] == [
        "crawl_site",
        "current_time",
        "describe_documents",
        "read_document",
        "search_documents",
        "visit_url",
        "web_search",
    ]
    schema = search_documents.TOOL.args.model_json_schema()
    assert list(schema["properties"]) == ["query", "queries", "documents"] and schema["required"] == ["query"]


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
