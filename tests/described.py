"""Checks what a server says against its OpenAPI document: status, content type, body; of streams each event."""

import copy
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Json = dict[str, Any]
URI = "urn:openapi"
LINE = re.compile(r"([0-9a-z]):(.+)")
METHODS = ("get", "post", "put", "patch", "delete")


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Each operation by its name, such as `POST /chat`."""
    for path, methods in document["paths"].items():
        yield from ((f"{method.upper()} {path}", methods[method]) for method in METHODS if method in methods)


def closed(schema: Any) -> Any:
    """A schema that takes no properties but those that it names."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: part if name == "examples" else closed(part) for name, part in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


def items(text: str) -> Iterator[Any]:
    """What a stream carries: the JSON of its events; of lines with a code, that code and the JSON behind it."""
    for line in filter(None, text.splitlines()):
        if line.startswith((":", "id: ", "retry: ")) or line == "data: [DONE]":
            continue
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
        else:
            found = LINE.fullmatch(line)
            assert found, line
            yield {"code": found[1], "value": json.loads(found[2])}


def item_schema(schema: Json) -> Json | None:
    """What a stream's items are, by the schema of its events or lines; None of what is no stream."""
    found = list(_content_schemas(schema))
    return {"anyOf": found} if found else None


def _content_schemas(schema: Any) -> Iterator[Json]:
    for part in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        yield from _content_schemas(part)
    if isinstance(schema, dict) and "contentSchema" in schema:
        assert schema["type"] == "string" and schema["contentMediaType"] == "application/json"
        yield schema["contentSchema"]


class Described:
    """An OpenAPI document; its schemas are closed, so that what is not described is found."""

    def __init__(self, document: Json) -> None:
        self.document = document
        whole = {**document, "components": {**document["components"], "schemas": closed(document["components"]["schemas"])}}
        self.registry = Registry().with_resource(URI, Resource.from_contents(whole, DRAFT202012))
        self.operations = dict(operations(document))

    def resolved(self, part: Json) -> Json:
        """What a reference stands for."""
        while "$ref" in part:
            part = self.registry.resolver(URI).lookup(part["$ref"]).contents
        return part

    def validate(self, value: Any, schema: Json) -> None:
        """Fails when a value is not as a schema says, or has what it does not name."""
        absolute = copy.deepcopy(schema)
        _absolute(absolute)
        faults = list(Draft202012Validator(closed(absolute), registry=self.registry).iter_errors(value))
        assert not faults, f"{faults[0].message}\nat {list(faults[0].absolute_path)} of\n{value}\n{faults[0].context}"

    def answer(self, operation: str, status: int) -> Json:
        """The description of an answer."""
        answers = self.operations[operation]["responses"]
        assert str(status) in answers, f"{operation} does not describe {status}"
        return self.resolved(answers[str(status)])

    def check(self, operation: str, response: httpx.Response) -> None:
        """Fails when an answer is not as it is described."""
        described = self.answer(operation, response.status_code)
        assert "x-request-id" in response.headers
        if "content" not in described:
            assert not response.content, operation
            return
        media_type = response.headers["content-type"].partition(";")[0]
        fitting = [content for kind, content in described["content"].items() if fnmatchcase(media_type, kind)]
        assert fitting, f"{operation} {response.status_code} does not describe {media_type}"
        self.check_body(response, media_type, fitting[0]["schema"])

    def check_body(self, response: httpx.Response, media_type: str, schema: Json) -> None:
        if media_type.endswith("json"):
            self.validate(response.json(), schema)
        elif one := item_schema(schema):
            seen = list(items(response.text))
            assert seen, "an empty stream"
            for item in seen:
                self.validate(item, one)
        else:
            assert schema["type"] == "string" and response.content


def _absolute(schema: Any) -> None:
    """Makes references to the document ones that can be followed from anywhere."""
    for part in schema if isinstance(schema, list) else schema.values() if isinstance(schema, dict) else ():
        _absolute(part)
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        schema["$ref"] = URI + schema["$ref"].removeprefix(URI)
