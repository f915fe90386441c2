"""Parts of a model's answer, as OpenAI-compatible servers send them piece by piece: texts, tool calls, usage."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk


@dataclass(slots=True)
class Call:
    """A tool call of the answer. `args` are what has come since the last `take`."""

    slot: int
    id: str
    name: str
    args: str = ""
    told: bool = False

    def take(self) -> ToolCallChunk:
        first = not self.told
        chunk = tool_call_chunk(
            name=self.name if first else None, args=self.args, id=self.id if first else None, index=self.slot
        )
        self.told, self.args = True, ""
        return chunk


@dataclass(slots=True)
class Calls:
    """The tool calls of one answer, told apart by index; by id where a server gives one index to all or none."""

    calls: list[Call] = field(default_factory=list)
    of_index: dict[Any, Call] = field(default_factory=dict)
    changed: dict[int, Call] = field(default_factory=dict)

    def add(self, delta: dict[str, Any]) -> None:
        function = delta.get("function") or {}
        id, name, index = delta.get("id") or "", function.get("name") or "", delta.get("index")
        call = self.of_index.get(index) if index is not None else (self.calls[-1] if self.calls and not name else None)
        if call is None or (id and name and id != call.id):
            call = Call(len(self.calls), id or f"call_{uuid.uuid4().hex[:24]}", name)
            self.calls.append(call)
            self.of_index[index] = call
        call.name = call.name or name
        args = function.get("arguments")
        call.args += args if isinstance(args, str) else orjson.dumps(args).decode() if args is not None else ""
        self.changed[call.slot] = call

    def take(self) -> list[ToolCallChunk]:
        chunks = [call.take() for call in self.changed.values() if call.name]
        self.changed = {slot: call for slot, call in self.changed.items() if not call.name}
        return chunks


def pieces(content: Any) -> Iterator[tuple[Literal["text", "thought"], str]]:
    """The texts in a content, which is a string or a list of typed parts."""
    if isinstance(content, str):
        yield "text", content
        return
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield "text", part
        elif isinstance(part, dict) and part.get("type") == "thinking":
            yield from (("thought", text) for _, text in pieces(part.get("thinking")))
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield "text", part["text"]


def usage_metadata(usage: dict[str, Any]) -> UsageMetadata:
    """LangChain's words for what a request has cost."""
    sent, made = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    metadata = UsageMetadata(input_tokens=sent, output_tokens=made, total_tokens=usage.get("total_tokens") or sent + made)
    if reasoning := (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"):
        metadata["output_token_details"] = {"reasoning": reasoning}
    if cached := (usage.get("prompt_tokens_details") or {}).get("cached_tokens"):
        metadata["input_token_details"] = {"cache_read": cached}
    return metadata
