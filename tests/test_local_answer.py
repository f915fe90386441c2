"""What a local model generates becomes whole characters, thoughts, answer and tool calls, however it is cut into pieces."""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence

import pytest

from fixtures.local_models import WHY
from models.local_answer import AnswerReader, Detokenizer, Outlet, response_template

TEXT = "年假有十天😀，naïve 👩‍👩‍👧。"
TAGS_TEMPLATE = "{{ '<function=' }}"


def decode(ids: Sequence[int]) -> str:
    """As a tokenizer of bytes does."""
    return bytes(ids).decode(errors="replace")


def test_characters_come_whole_and_as_soon_as_they_are() -> None:
    reader = Detokenizer(decode)
    pieces = [reader.feed(byte) for byte in TEXT.encode()]
    assert [piece for piece in pieces if piece] == list(TEXT)
    assert reader.rest() == ""


def test_a_character_that_was_cut_off_is_left_out() -> None:
    reader = Detokenizer(decode)
    said = "".join(reader.feed(byte) for byte in "十天".encode()[:-1])
    assert said + reader.rest() == "十"


def test_bytes_that_are_no_character_do_not_stop_the_rest() -> None:
    reader = Detokenizer(decode)
    assert "".join(reader.feed(byte) for byte in b"a\xe5b" + "天".encode()) == "a\ufffdb天"


def test_spaces_between_words_are_kept_by_decoders_that_drop_the_first_one() -> None:
    words = [" one", " two", " three"]
    reader = Detokenizer(lambda ids: "".join(words[n] for n in ids).removeprefix(" "))
    assert "".join(reader.feed(n) for n in range(3)) == "one two three"


def let_out(outlet: Outlet, pieces: Iterable[str]) -> str:
    return "".join(outlet.feed(piece) for piece in pieces) + outlet.rest()


def cuts(text: str) -> list[tuple[str, ...]]:
    """The text whole, cut in two at each place, and letter by letter."""
    return [(text,), *((text[:n], text[n:]) for n in range(1, len(text))), tuple(text)]


@pytest.mark.parametrize(
    ("text", "stop", "said"),
    [
        ("第一行\n\n第二行", ["\n\n"], "第一行"),
        ("一二三四五", ["四五", "三"], "一二"),
        ("aab", ["ab"], "a"),
        ("停不停", ["停止"], "停不停"),
        ("问答", [""], "问答"),
        ("  答。\n ", [], "答。"),
        ("一 \n 二", [], "一 \n 二"),
    ],
)
def test_text_goes_up_to_a_stop_sequence_however_it_is_cut(text: str, stop: list[str], said: str) -> None:
    for pieces in cuts(text):
        outlet = Outlet(stop)
        assert let_out(outlet, pieces) == said
        assert outlet.stopped == (said != text.strip())


def test_what_cannot_be_a_stop_sequence_is_let_out_at_once() -> None:
    outlet = Outlet(["停止"])
    assert [outlet.feed(piece) for piece in ("开", "停", "不", "停")] == ["开", "", "停不", ""]


Read = Callable[..., dict]


@pytest.fixture
def read() -> Read:
    """Reads pieces of an answer: its thoughts, text and calls (name and arguments as text)."""
    pytest.importorskip("torch", reason=WHY)
    pytest.importorskip("transformers", reason=WHY)
    from transformers.utils.chat_parsing import ResponseParser

    def read(
        pieces: Iterable[str], *, tools: bool = True, template: str = "", begun: str = "", stop: Sequence[str] = ()
    ) -> dict:
        parameters = {"type": "object", "properties": {"query": {"type": "string"}, "k": {"type": "integer"}}}
        schemas = [{"type": "function", "function": {"name": "search", "parameters": parameters}}]
        parser = ResponseParser(response_template(template, tools=tools), prefix=begun, tools=schemas if tools else None)
        reader = AnswerReader(parser, stop)
        chunks = [*itertools.chain.from_iterable(reader.feed(piece) for piece in pieces), *reader.last()]
        calls = [call for chunk in chunks for call in chunk.tool_call_chunks]
        assert [call["index"] for call in calls] == list(range(reader.calls))
        assert len({call["id"] for call in calls}) == len(calls)
        return {
            "thoughts": "".join(chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks),
            "text": "".join(chunk.text for chunk in chunks),
            "calls": [(call["name"], call["args"]) for call in calls],
        }

    return read


CALLS = [("search", {"query": "年假 <天数>", "k": 3}), ("search", {"query": "病假"})]
BODIES = [json.dumps({"name": name, "arguments": args}, ensure_ascii=False) for name, args in CALLS]
THINKING = "<think>\n先查手册。a < b\n</think>\n\n"
AS_JSON = f"{THINKING}好的，我查。\n<tool_call>\n{BODIES[0]}\n</tool_call>\n<tool_call>\n{BODIES[1]}\n</tool_call>"
AS_TAGS = f"""{THINKING}好的，我查。

<tool_call>
<function=search>
<parameter=query>
年假 <天数>
</parameter>
<parameter=k>
3
</parameter>
</function>
</tool_call>
<tool_call>
<function=search>
<parameter=query>
病假
</parameter>
</function>
</tool_call>"""


@pytest.mark.parametrize(("text", "template"), [(AS_JSON, ""), (AS_TAGS, TAGS_TEMPLATE)], ids=["JSON", "tags"])
def test_thoughts_text_and_calls_are_told_apart_however_they_are_cut(read: Read, text: str, template: str) -> None:
    for pieces in cuts(text):
        found = read(pieces, template=template)
        assert (found["thoughts"], found["text"]) == ("先查手册。a < b", "好的，我查。"), pieces
        assert [(name, json.loads(args)) for name, args in found["calls"]] == CALLS, pieces


def test_thoughts_that_the_template_has_begun_are_thoughts(read: Read) -> None:
    for pieces in cuts("想想。</think>答。"):
        assert read(pieces, begun="<think>") == {"thoughts": "想想。", "text": "答。", "calls": []}


def test_without_tools_nothing_is_a_call(read: Read) -> None:
    text = "写作 <tool_call>{}</tool_call>。"
    assert read([text], tools=False) == {"thoughts": "", "text": text, "calls": []}


def test_a_call_without_its_end_is_a_call(read: Read) -> None:
    assert read([f"<tool_call>{BODIES[1]}"])["calls"] == [("search", json.dumps({"query": "病假"}, ensure_ascii=False))]


@pytest.mark.parametrize(
    ("body", "name"),
    [('{"name": "search", "arguments": {"query": "年', "search"), ("search(年假)", ""), ("[1]", ""), ("", "")],
)
def test_a_call_that_is_no_object_is_handed_on_as_it_is(read: Read, body: str, name: str) -> None:
    assert read([f"<tool_call>{body}</tool_call>"])["calls"] == [(name, body)]


def test_arguments_may_be_json_in_a_string(read: Read) -> None:
    body = json.dumps({"name": "search", "arguments": '{"query": "年假"}'})
    assert read([f"<tool_call>{body}</tool_call>"])["calls"] == [("search", '{"query": "年假"}')]


def test_a_stop_sequence_counts_in_the_answer_not_in_the_thoughts(read: Read) -> None:
    found = read(["<think>一。二。</think>三。四。"], stop=["。"])
    assert (found["thoughts"], found["text"]) == ("一。二。", "三")


def test_after_a_call_that_the_models_own_template_cannot_read_comes_nothing_more() -> None:
    class Refusing:
        """As a parser does that insists on JSON."""

        def feed(self, text: str) -> list[dict]:
            raise ValueError("could not parse")

        def finalize(self) -> tuple[dict, list[dict]]:
            raise RuntimeError("already broken")

    reader = AnswerReader(Refusing())
    (chunk,) = reader.feed("<call>{</call>")
    assert reader.stopped and reader.last() == []
    assert [(call["name"], call["args"]) for call in chunk.tool_call_chunks] == [("", "{}")]
