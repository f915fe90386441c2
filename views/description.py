"""What there is at which address, as an OpenAPI document: made of the table in `routes`, the views and their schemas.

flask-openapi3 could write one too, but names schemas by their class alone, so that of two with one name only one is left,
and it knows neither examples in schemas nor streams.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from itertools import count
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from models.schemas_openai_answers import ErrorView
from models.schemas_operations import ProblemView
from utils.errors import (
    ChatError,
    InvalidField,
    InvalidJson,
    RangeNotSatisfiable,
    TooLarge,
    UnsupportedType,
    UpgradeRequired,
)
from views.answers import Answer
from views.examples import PREFIX, Examples, Schema
from views.headers import HEADERS
from views.problems import told

REQUEST_ID = "8e3ddb55992d9608"
MOST_NAMES = 3  # of errors in the name of a response
MEDIA_TYPES = {"body": "application/json", "form": "multipart/form-data"}
PARAMETERS = ("path", "query", "header")
FAULT = InvalidField(errors=[{"field": "session_id", "message": "String should have at most 128 characters"}])
ERRORS: dict[str, tuple[ChatError, ...]] = {  # of what a view takes
    "body": (InvalidJson(), TooLarge(limit=8_000_000), UnsupportedType(type="text/plain"), FAULT),
    "form": (TooLarge(limit=52_428_800), UnsupportedType(type="application/x-msdownload"), FAULT),
    **dict.fromkeys(PARAMETERS, (FAULT,)),
}
ERROR_HEADERS: dict[type[ChatError], str] = {UpgradeRequired: "Upgrade", RangeNotSatisfiable: "Content-Range"}


class Tag(NamedTuple):
    """A group of operations."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table: `path` is Flask's rule, `takes` the view's models by what they are (path, query, body, …).

    `frames` are those of a WebSocket, by who sends them, which OpenAPI has no word for.
    """

    method: str
    path: str
    view: Callable[..., Any]
    tag: Tag
    answers: tuple[Answer, ...]
    errors: tuple[ChatError, ...]
    takes: dict[str, type[BaseModel]]
    frames: dict[str, type[BaseModel]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", self.path)

    @property
    def all_errors(self) -> dict[int, list[ChatError]]:
        """What may go wrong, by status; of each kind one error, that of the row if it has one."""
        found: dict[int, dict[str, ChatError]] = {}
        of_inputs = [error for place in self.takes for error in ERRORS[place]]
        for error in (*of_inputs, *self.errors):
            _, status, _ = told(error, self.path, "en", REQUEST_ID)
            found.setdefault(status, {})[error.code] = error
        return {status: list(errors.values()) for status, errors in found.items()}


class Description:
    """The operations, collected row by row. `info` is OpenAPI's object of that name."""

    def __init__(self, info: dict[str, Any]) -> None:
        self.info = info
        self.operations: list[Operation] = []

    def add(
        self,
        method: str,
        path: str,
        view: Callable[..., Any],
        tag: Tag,
        told_by: Iterable[Answer | ChatError],
        takes: dict[str, type[BaseModel]] | None = None,
        frames: dict[str, type[BaseModel]] | None = None,
    ) -> None:
        """Adds an operation; what it takes is read from the view, unless given."""
        answers = tuple(one for one in told_by if isinstance(one, Answer))
        errors = tuple(one for one in told_by if isinstance(one, ChatError))
        hints = get_type_hints(view) if takes is None else takes
        known = {place: hints[place] for place in ERRORS if place in hints}
        self.operations.append(Operation(method, path, view, tag, answers, errors, known, frames or {}))

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return _Writer(self.operations).document(self.info)


class _Plain(GenerateJsonSchema):
    """In the order of the classes, without titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def sort(self, value: Any, parent_key: str | None = None) -> Any:
        return value


class _Writer:
    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        models: set[type[BaseModel]] = {ProblemView, ErrorView}
        models.update(model for operation in operations for model in _models(operation))
        in_order = sorted(models, key=lambda model: (model.__name__, model.__module__))
        names, found = models_json_schema(
            [(model, "validation") for model in in_order], schema_generator=_Plain, ref_template=PREFIX + "{model}"
        )
        self.references = {model: reference for (model, _), reference in names.items()}
        self.schemas: dict[str, Schema] = _without_null_defaults(found.get("$defs", {}))
        self.examples = Examples(self.schemas)
        self.responses: dict[str, Any] = {}

    def document(self, info: dict[str, Any]) -> dict[str, Any]:
        paths: dict[str, dict[str, Any]] = {}
        for operation in self.operations:
            paths.setdefault(operation.address, {})[operation.method.lower()] = self._operation(operation)
        tags = dict.fromkeys(operation.tag for operation in self.operations)
        for name, schema in self.schemas.items():
            schema.setdefault("examples", self.examples.of({"$ref": PREFIX + name}))
        return {
            "openapi": "3.1.0",
            "info": info,
            "servers": [{"url": "/"}],
            "tags": [tag._asdict() for tag in tags],
            "paths": paths,
            "components": {"schemas": self.schemas, "responses": self.responses, "headers": HEADERS},
        }

    def _operation(self, operation: Operation) -> dict[str, Any]:
        summary, description = _texts(operation.view)
        name = re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.address}").rstrip("_")
        bodies = [self._body(operation.takes[place], place) for place in MEDIA_TYPES if place in operation.takes]
        written = {
            "tags": [operation.tag.name],
            "summary": summary,
            "description": description,
            "operationId": name,
            "parameters": [one for place in PARAMETERS for one in self._parameters(operation, place)],
            "requestBody": next(iter(bodies), None),
            "responses": dict(sorted((self._successes(operation) | self._failures(operation)).items())),
            "x-websocket-frames": {sender: self.references[model] for sender, model in operation.frames.items()},
        }
        return {name: value for name, value in written.items() if value}

    def _parameters(self, operation: Operation, place: str) -> Iterator[dict[str, Any]]:
        if place not in operation.takes:
            return
        schema = operation.takes[place].model_json_schema(schema_generator=_Plain)
        for name, part in _without_null_defaults(schema["properties"]).items():
            part = _without_null(part)
            needed = name in schema.get("required", [])
            parameter = {"name": name, "in": place, "required": needed, "schema": part}
            if description := part.pop("description", ""):
                parameter["description"] = description
            if needed and "examples" in part:  # pages prefill what stands here, which an optional one should not be
                parameter["example"] = part["examples"][0]
            yield parameter

    def _body(self, model: type[BaseModel], place: str) -> dict[str, Any]:
        reference = self.references[model]
        schema = self.schemas[reference["$ref"].removeprefix(PREFIX)]
        if place == "form":
            schema["properties"] = {name: _without_null(part) for name, part in schema["properties"].items()}
        content = {"schema": reference, **_named(self.examples.of(reference))}
        return {"required": bool(schema.get("required")), "content": {MEDIA_TYPES[place]: content}}

    def _successes(self, operation: Operation) -> dict[str, Any]:
        responses: dict[str, Any] = {}
        for answer in operation.answers:
            response = responses.setdefault(str(answer.status), {"description": "", "headers": {}})
            response["description"] = " ".join(filter(None, (response["description"], answer.description)))
            response["headers"] |= _headers("X-Request-ID", *answer.headers)
            if answer.media_type:
                content = response.setdefault("content", {}).setdefault(answer.media_type, {})
                _merge(content, self._content(answer))
        return responses

    def _content(self, answer: Answer) -> dict[str, Any]:
        reference = self.references[answer.model] if answer.model else {}
        if answer.examples:
            examples = {"examples": {name: {"value": value} for name, value in answer.examples}}
        else:
            examples = _named(self.examples.of(reference)) if reference else {}
        return {"schema": answer.schema(reference), **examples}

    def _failures(self, operation: Operation) -> dict[str, Any]:
        return {str(status): self._failure(operation.path, errors) for status, errors in operation.all_errors.items()}

    def _failure(self, path: str, errors: list[ChatError]) -> dict[str, str]:
        """A reference to the response that these errors make, which is described once."""
        bodies = {error.code: told(error, path, "en", REQUEST_ID) for error in errors}
        _, status, media_type = next(iter(bodies.values()))
        problem = media_type != "application/json"
        name = ("" if problem else "OpenAI_") + "_".join(_name(error) for error in errors[:MOST_NAMES])
        sentences = (f"`{error.code}`: {error.message('en')} {error.message('zh')}" for error in errors)
        also = [header for error in errors if (header := ERROR_HEADERS.get(type(error)))]
        waiting = ["Retry-After"] if any(error.retry_after is not None for error in errors) else []
        examples = {code: {"value": body} for code, (body, _, _) in bodies.items()}
        schema = self.references[ProblemView if problem else ErrorView]
        response = {
            "description": "\n\n".join((HTTPStatus(status).phrase, *sentences)),
            "headers": _headers("X-Request-ID", *waiting, *also),
            "content": {media_type: {"schema": schema, "examples": examples}},
        }
        names = (f"{name}_{number}" if number else name for number in count())
        known = next(known for known in names if self.responses.setdefault(known, response) == response)
        return {"$ref": f"#/components/responses/{known}"}


def _models(operation: Operation) -> Iterator[type[BaseModel]]:
    yield from (model for place, model in operation.takes.items() if place in MEDIA_TYPES)
    yield from (answer.model for answer in operation.answers if answer.model)
    yield from operation.frames.values()


def _texts(view: Callable[..., Any]) -> tuple[str, str]:
    """A view's first sentence, and all that it says."""
    paragraphs = [" ".join(paragraph.split("\n")) for paragraph in (inspect.getdoc(view) or "").split("\n\n")]
    summary = re.split(r"(?<=[.;:]) ", paragraphs[0])[0].rstrip(".;:")
    return summary, "\n\n".join(paragraphs)


def _name(error: ChatError) -> str:
    """A name for the response of an error, also told apart by what is not found."""
    return type(error).__name__ + str(error.params.get("what", "")).title().replace(" ", "")


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _named(examples: list[Any]) -> dict[str, Any]:
    if len(examples) == 1:
        return {"example": examples[0]}
    return {"examples": {f"example_{number}": {"value": value} for number, value in enumerate(examples, 1)}}


def _merge(content: dict[str, Any], more: dict[str, Any]) -> None:
    """Adds a second kind of text with the same media type."""
    if not content:
        content.update(more)
        return
    content["schema"] = {"anyOf": [content["schema"], more["schema"]]}
    content["examples"] = {**content["examples"], **more["examples"]}


def _without_null_defaults(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if not (name == "default" and part is None)}
        return {name: _without_null_defaults(part) for name, part in kept.items()}
    return [_without_null_defaults(part) for part in value] if isinstance(value, list) else value


def _without_null(schema: Schema) -> Schema:
    """For what is sent as text, where nothing stands for null."""
    kept = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    if len(kept) != 1:
        return dict(schema)
    rest = {name: part for name, part in schema.items() if name != "anyOf"}
    return {**kept[0], **rest}
