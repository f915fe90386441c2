"""The OpenAPI document itself, and the page that shows it."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import openapi_spec_validator
import pytest

from described import METHODS, Described, Json, item_schema, items
from fixtures.server import Server
from golden_script import MESSAGE, SCRIPT, numbered
from models.schemas_events import NativeEvent, SimplePiece
from models.schemas_line_streams import DataStreamLine, SeedLine
from models.schemas_openai_answers import CompletionEvent
from models.schemas_ui_stream import UiMessageChunk
from routes import description
from services.protocols import chunks, data, lines, native, openai, ui
from utils.settings import ROOT, VERSION

DOCUMENT: Json = description.document
DESCRIBED = Described(DOCUMENT)
SCHEMAS: dict[str, Json] = DOCUMENT["components"]["schemas"]
URL = re.compile(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)|url\(\s*["']?([^"')\s]+)|@import\s+["']([^"']+)""")

PRINT_RULES = """
import os
from app import create_app
for rule in create_app().url_map.iter_rules():
    print(*rule.methods, rule.rule, flush=True)
os._exit(0)
"""


def walked(value: Any, path: str = "") -> Iterator[tuple[str, Json]]:
    """All objects of a document, each with its place."""
    if isinstance(value, dict):
        yield path, value
        for name, part in value.items():
            yield from walked(part, f"{path}/{name}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from walked(part, f"{path}/{number}")


def test_it_is_valid() -> None:
    openapi_spec_validator.validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")
    info = DOCUMENT["info"]
    assert info["version"] == VERSION and info["license"] == {"name": "MIT", "identifier": "MIT"}
    assert [server["url"] for server in DOCUMENT["servers"]] == ["/"]
    for said in ("Accept-Language", "X-Request-ID", "loopback", "本机", "405"):
        assert said in info["description"]


def test_it_has_every_address_of_the_application_and_no_other(server: Server) -> None:
    command = [sys.executable, "-c", PRINT_RULES]
    output = subprocess.run(command, cwd=ROOT, env=server.env, capture_output=True, text=True, timeout=60, check=True).stdout
    real = set()
    for *methods, path in (line.split() for line in output.splitlines() if "/" in line):
        if path == "/" or path.startswith(("/docs", "/static/", "/openapi.json")):
            continue
        address = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
        real |= {f"{method} {address}" for method in methods if method not in ("HEAD", "OPTIONS")}
    assert set(DESCRIBED.operations) == real and len(real) > 50


def test_each_operation_says_what_it_is() -> None:
    names = Counter(operation["operationId"] for operation in DESCRIBED.operations.values())
    assert all(count == 1 and re.fullmatch(r"[a-z][a-z0-9_]*", name) for name, count in names.items())
    groups = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}
    for name, operation in DESCRIBED.operations.items():
        assert operation["summary"] and not operation["summary"].endswith("."), name
        assert operation["description"].startswith(operation["summary"]) and "<br" not in operation["description"], name
        assert set(operation["tags"]) <= set(groups), name
    used = {tag for operation in DESCRIBED.operations.values() for tag in operation["tags"]}
    assert used == set(groups) and all(re.search("[\u4e00-\u9fff]", text) for text in groups.values())


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    references = {part["$ref"] for _, part in walked(DOCUMENT) if isinstance(part.get("$ref"), str)}
    for reference in references:
        assert DESCRIBED.resolved({"$ref": reference})
    mapped = {place for _, part in walked(DOCUMENT) for place in part.get("discriminator", {}).get("mapping", {}).values()}
    there = {f"#/components/{kind}/{name}" for kind, named in DOCUMENT["components"].items() for name in named}
    assert there == references | mapped


def test_parameters_are_those_of_the_path_and_have_examples() -> None:
    for name, operation in DESCRIBED.operations.items():
        parameters = operation.get("parameters", [])
        in_path = {one["name"] for one in parameters if one["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", name)), name
        for one in parameters:
            schema = one["schema"]
            assert one.get("description") or one["in"] == "path" or "enum" in schema, (name, one)
            assert {"examples", "enum", "default"} & schema.keys() or schema["type"] == "boolean", (name, one)
            assert ("example" in one) == (one["required"] and "examples" in schema), (name, one)
            assert "null" not in str(schema), (name, one)


def shown(content: Json) -> list[Any]:
    """The examples of a body."""
    named = [example["value"] for example in content.get("examples", {}).values()]
    return named + ([content["example"]] if "example" in content else [])


def contents() -> Iterator[tuple[str, str, Json]]:
    """Each body of the document: where it is, its media type, and what is said of it."""
    for name, operation in DESCRIBED.operations.items():
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            yield name, kind, content
        for status in operation["responses"]:
            for kind, content in DESCRIBED.answer(name, int(status)).get("content", {}).items():
                yield f"{name} {status}", kind, content


def test_every_body_has_an_example_that_fits_it() -> None:
    for place, kind, content in contents():
        binary = content["schema"].get("format") == "binary"
        assert binary or shown(content), place
        for example in shown(content):
            if one := item_schema(content["schema"]):
                assert kind in ("text/event-stream", "text/plain")
                for item in items(example):
                    DESCRIBED.validate(item, one)
            else:
                DESCRIBED.validate(example, content["schema"])


def test_examples_of_schemas_fit_them() -> None:
    for path, part in walked(DOCUMENT):
        if isinstance(part.get("examples"), list):
            assert part["examples"], path
            for example in part["examples"]:
                DESCRIBED.validate(example, {name: value for name, value in part.items() if name != "examples"})


def test_examples_are_put_together_of_something() -> None:
    """What has no example of its own, nor in its model, would be shown as an empty text or as 0."""
    for path, part in walked(SCHEMAS):
        found = re.fullmatch(r"/(\w+)/properties/(\w+)", path)
        if (
            found
            and part.get("type") in ("string", "integer", "number")
            and not {"examples", "const", "default"} & part.keys()
        ):
            whole = SCHEMAS[found[1]]["examples"][0]
            assert whole.get(found[2]) not in ("", 0) or found[2] in ("index", "created"), path


def test_an_example_is_what_the_server_takes(server: Server) -> None:
    """What the page fills in before "Try it out" is no fault of its reader."""
    for path in ("/api/v1/chat", "/api/v1/documents", "/chat", "/api/chat", "/conversations", "/api/config"):
        body = DESCRIBED.operations[f"POST {path}"]["requestBody"]["content"]
        ((kind, content),) = body.items()
        for example in shown(content):
            session = {"session_id": f"tried-{path.strip('/').replace('/', '-')}"} if "session_id" in example else {}
            if kind == "application/json":
                response = httpx.post(f"{server.url}{path}", json={**example, **session}, timeout=30)
            else:
                file = {"file": ("文件.txt", example["file"][0].encode())}
                response = httpx.post(f"{server.url}{path}", data=session, files=file, timeout=30)
            assert response.is_success, (path, response.text)


@pytest.mark.parametrize(
    ("schema", "render"),
    [
        (NativeEvent, lambda batches: native.stream(batches, "zh")),
        (SimplePiece, lambda batches: chunks.stream(batches, "zh")),
        (CompletionEvent, lambda batches: openai.Wire(MESSAGE, "agent", 1, True, True).stream(batches, "zh")),
        (UiMessageChunk, lambda batches: ui.stream(batches, "zh")),
        (DataStreamLine, lambda batches: data.stream(batches, "zh")),
        (SeedLine, lambda batches: lines.stream(batches, "zh")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_all_that_a_wire_format_sends_is_described(schema: type, render: Any) -> None:
    reference = {"$ref": f"#/components/schemas/{schema.__name__}"}
    seen = [item for batches in SCRIPT.values() for item in items(b"".join(render(numbered(batches))).decode())]
    for item in seen:
        DESCRIBED.validate(item, reference)
    alternatives = SCHEMAS[schema.__name__].get("oneOf") or SCHEMAS[schema.__name__]["anyOf"]
    for alternative in alternatives:  # and nothing is described that it never sends
        assert any(_fits(item, alternative) for item in seen), alternative


def _fits(item: Any, schema: Json) -> bool:
    try:
        DESCRIBED.validate(item, schema)
    except AssertionError:
        return False
    return True


def test_errors_say_which_codes_there_are() -> None:
    for name, response in DOCUMENT["components"]["responses"].items():
        ((kind, content),) = response["content"].items()
        assert kind == ("application/json" if name.startswith("OpenAI_") else "application/problem+json")
        for code, example in content["examples"].items():
            assert f"`{code}`" in response["description"]
            assert (example["value"].get("error") or example["value"])["code"] == code
    for name, operation in DESCRIBED.operations.items():
        for status in (429, 503):
            if str(status) in operation["responses"] and "health" not in name:
                assert "Retry-After" in DESCRIBED.answer(name, status)["headers"], name
        for status in operation["responses"]:
            assert "X-Request-ID" in DESCRIBED.answer(name, int(status))["headers"], name


class TestPage:
    def get(self, server: Server, path: str) -> httpx.Response:
        return httpx.get(f"{server.url}{path}", timeout=30)

    def test_the_document_is_served_as_it_is_built(self, server: Server) -> None:
        answer = self.get(server, "/openapi.json")
        assert answer.headers["content-type"] == "application/json" and answer.json() == DOCUMENT

    @pytest.mark.parametrize("path", ["/", "/docs/"])
    def test_other_addresses_lead_to_it(self, server: Server, path: str) -> None:
        answer = self.get(server, path)
        assert answer.status_code == 302 and answer.headers["location"] == "/docs"

    def test_all_that_it_needs_comes_from_here(self, server: Server) -> None:
        page = self.get(server, "/docs")
        assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
        base, seen = httpx.URL(f"{server.url}/docs"), set()
        waiting = [(base, page)]
        while waiting:
            at, answer = waiting.pop()
            for found in URL.findall(answer.text):
                url = at.join(next(filter(None, found)))
                if url.scheme == "data" or url in seen:
                    continue
                seen.add(url)
                assert (url.host, url.port) == (base.host, base.port), url
                asset = httpx.get(url)
                assert asset.status_code == 200 and asset.content, url
                if asset.headers["content-type"].startswith("text/css"):
                    waiting.append((url, asset))
        names = {url.path for url in seen}
        assert {"/docs/js/swagger-ui-bundle.js", "/docs/css/swagger-ui.css", "/static/docs/start.js"} <= names

    def test_a_browser_would_ask_nobody_else(self, server: Server) -> None:
        policy = self.get(server, "/docs").headers["content-security-policy"]
        assert "default-src 'none'" in policy and "://" not in policy and "*" not in policy
        start = self.get(server, "/static/docs/start.js").text
        assert "validatorUrl: null" in start and "://" not in start

    @pytest.mark.parametrize("path", ["/docs/../app.py", "/docs/%2e%2e/__init__.py", "/docs/nothing", "/docs/js/"])
    def test_nothing_else_is_served_there(self, server: Server, path: str) -> None:
        answer = self.get(server, path)
        assert answer.status_code == 404 and answer.json()["code"] == "not_found"


def test_methods_are_all_known() -> None:
    known = {*METHODS, "parameters"}
    assert all(set(methods) <= known for methods in DOCUMENT["paths"].values())
