"""Events as bytes, for the streams from which any worker replays a turn."""

from dataclasses import fields
from typing import Any, cast, get_args

import orjson
from pydantic import TypeAdapter

from models.events import Ended, Event, Failed, SourcesFound
from utils.errors import ChatError

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}
_NESTED = {kind.__name__: TypeAdapter(kind) for kind in (Ended, SourcesFound)}


def encode(event: Event) -> bytes:
    """A JSON array of name and fields. Raises TypeError for what JSON cannot hold."""
    return orjson.dumps((type(event).__name__, event), default=_error)


def decode(data: bytes) -> list[Event]:
    """The events of a JSON array of which `encode` made each item."""
    return [_event(name, values) for name, values in orjson.loads(data)]


def _error(value: Any) -> dict[str, Any]:
    if isinstance(value, ChatError):
        return value.as_dict()
    raise TypeError(type(value).__name__)


def _event(name: str, values: dict[str, Any]) -> Event:
    if name == Failed.__name__:
        return Failed(ChatError.of(values["error"]))
    if name in _NESTED:
        return cast(Event, _NESTED[name].validate_python(values))
    kind = _KINDS[name]
    return cast(Event, kind(*(values[field.name] for field in fields(kind))))
