"""What a turn has come to so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.events import Chunk, Event, FinishReason, ToolCall, Usage
from models.passages import Passage
from models.tools import ToolContext, without_documents
from services.citation_markers import Citation


@dataclass(slots=True)
class TurnState:
    """What one turn is given and what it has come to so far; readable at any moment, also after a stop.

    `room` is the number of tokens that results of tools may still take in the model's window. `passages` are what the model
    was shown, in the order of their numbers, as they stand in their documents; `citations` are places in the answer.
    """

    context: ToolContext
    emit: Callable[[Event], None]
    room: int
    text: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)  # of the model call that runs
    reasoning: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    finish_reason: FinishReason = "stop"
    model_calls: int = 0
    started_calls: int = 0

    @property
    def response(self) -> str:
        return "".join(self.text)

    @property
    def may_cite(self) -> bool:
        """Whether numbers in brackets claim to name passages; without documents they are what the user asked for."""
        return bool(self.passages) or without_documents(self.context) is None

    def say(self, content: str, citations: Sequence[Citation] = ()) -> None:
        """Adds to the answer, parted from what was said before a tool call; `citations` are places in `content`."""
        if not content:
            return
        if self.text and not self.partial and not self.text[-1].endswith("\n"):
            self._emit_text("\n\n")
        if citations:
            before = sum(map(len, self.text))
            self.citations += [Citation(number, before + start) for number, start in citations]
        self.partial.append(content)
        self._emit_text(content)

    def _emit_text(self, content: str) -> None:
        self.text.append(content)
        self.emit(Chunk(content))

    def transcript(self) -> list[dict[str, Any]]:
        """What followed the question, as the memory keeps it; a call that has no result yet is left out."""
        answered = {step["tool_call_id"] for step in self.steps if step["role"] == "tool"}
        messages = []
        for step in (*self.steps, said("".join(self.partial), [])):
            if step["role"] == "assistant":
                step = said(step["content"], [call for call in step["tool_calls"] if call["id"] in answered])
            if step["role"] == "tool" or step["content"] or step["tool_calls"]:
                messages.append(step)
        return messages


def said(content: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model said, as the memory keeps it."""
    return {"role": "assistant", "content": content, "tool_calls": calls}
