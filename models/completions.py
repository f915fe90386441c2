"""A request to a model itself, without our tools and memory, and what comes of it, in OpenAI's terms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.events import Failed
from utils.errors import OptionNotSupported

# Fields of a request that change the answer, beside its messages. What is not named here may be ignored.
OPTIONS = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "n",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "reasoning_effort",
        "verbosity",
        "modalities",
        "audio",
        "prediction",
        "web_search_options",
    }
)
LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
AGENT_OPTIONS = LIMITS | {"temperature"}
COMMON_OPTIONS = AGENT_OPTIONS | {"top_p", "stop", "tools"}  # what every chat model takes
NOT_READ = {"functions", "function_call", "modalities", "audio"}  # their answers have a shape that nothing here reads
UPSTREAM_OPTIONS = OPTIONS - NOT_READ
NEUTRAL: dict[str, tuple[Any, ...]] = {  # values that ask for nothing; None never does
    "temperature": (1,),
    "top_p": (1,),
    "stop": ([],),
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("auto", "none"),
    "parallel_tool_calls": (True,),
    "modalities": (["text"],),
}


@dataclass(frozen=True, slots=True)
class Completion:
    """Messages and options are as OpenAI's API writes them; `options` are those that are set."""

    model: str
    messages: Sequence[dict[str, Any]]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A piece of a tool call; `id` and `name` are told with the first one. `arguments` is a piece of JSON."""

    index: int
    arguments: str
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """What has come of one choice since the last delta; the last one has a `finish_reason`."""

    choice: int = 0
    content: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolDelta, ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """What a request has cost; `cached` is part of `prompt`, `reasoning` of `completion`."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of all choices. `usage` is None where the model's server does not tell."""

    usage: TokenCount | None
    fingerprint: str = ""


Piece = Delta | Completed | Failed


def check_options(options: Mapping[str, Any], takes: frozenset[str], model: str) -> None:
    """Raises OptionNotSupported for an option that asks for what `model` cannot do."""
    for name, value in options.items():
        asks = value is not None and value not in NEUTRAL.get(name, ())
        if asks and name in OPTIONS - takes and not _without_tools(name, options):
            raise OptionNotSupported(option=name, model=model)
    if any(tool.get("type") != "function" for tool in options.get("tools") or ()):
        raise OptionNotSupported(option="tools", model=model)


def _without_tools(name: str, options: Mapping[str, Any]) -> bool:
    """Whether an option says how to use tools where there are none."""
    return name in ("tool_choice", "parallel_tool_calls") and not options.get("tools")
