"""How messages of nothing but text are sent, and what a server says of a request that it does not take."""

import re
from typing import Any

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from models.chat_stream import REASONING

PLAIN_ROLES: dict[type[BaseMessage], str] = {HumanMessage: "user", AIMessage: "assistant"}
PARAM = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}|\.?\[\d{1,6}\]|\.\d{1,6}){0,9}")
REASON = re.compile(r"[a-z_]{1,60}")


def named_faults(body: str) -> dict[str, str]:
    """What an error object says that a request should not have had, and why, where these are names and nothing else."""
    try:
        error = orjson.loads(body)["error"]
        param, reason = str(error["param"]), str(error["code"])
    except (ValueError, LookupError, TypeError):
        return {}
    return {
        "param": param if PARAM.fullmatch(param) and param != "None" else "",
        "reason": reason if REASON.fullmatch(reason) else "",
    }


def plain_message(message: BaseMessage) -> dict[str, Any] | None:
    """A message of nothing but text, as it is sent; None for all others.

    LangChain's own conversion looks at each character of an answer, which takes milliseconds for a long history.
    """
    role = PLAIN_ROLES.get(type(message))
    if (
        role is None
        or not isinstance(message.content, str)
        or message.name
        or message.additional_kwargs.keys() - {REASONING}
    ):
        return None
    if isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls):
        return None
    return {"content": message.content, "role": role}
