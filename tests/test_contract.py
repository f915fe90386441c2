"""Errors, statuses and headers that clients may rely on."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.dashscope import DashScope
from fakes.replies import status
from fakes.upstream import Upstream
from fixtures.ingestion import eventually
from fixtures.server import ROOT, MakeServer, Server

JSON = {"Content-Type": "application/json"}


def problem(response: httpx.Response, expected: int, code: str) -> dict[str, Any]:
    assert response.status_code == expected, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code and body["status"] == expected and body["type"] and body["title"] and body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"nonsense", b'{"message": "\xff"}', b"[" * 100_000, b'{"message": NaN}', b'{"message": "\\ud800"}'],
    ids=["cut", "empty", "words", "not UTF-8", "deep", "NaN", "lone surrogate"],
)
def test_a_body_that_is_no_json_is_400(server: Server, body: bytes) -> None:
    response = server.api.post("chat", content=body, headers=JSON)
    if body:
        problem(response, 400, "invalid_json")
    else:
        assert problem(response, 422, "invalid_field")["errors"][0]["field"] == "message"


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
def test_a_body_that_is_no_object_is_422(server: Server, body: str) -> None:
    problem(server.api.post("chat", content=body, headers=JSON), 422, "invalid_field")


def test_an_empty_body_is_of_no_type(server: Server) -> None:
    for options in ({"content": b""}, {"content": b"", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}):
        assert server.api.post("chat/nobody/stop", **options).json() == {"stopped": False}
        problem(server.api.post("chat", **options), 422, "invalid_field")


def test_a_body_of_another_type_is_415(server: Server) -> None:
    problem(server.api.post("chat", content="message=x", headers={"Content-Type": "text/plain"}), 415, "unsupported_type")
    problem(server.api.post("chat", data={"message": "x"}), 415, "unsupported_type")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message", ""),
        ("message", "  \n "),
        ("message", 5),
        ("message", None),
        ("session_id", ""),
        ("session_id", "a" * 129),
        ("session_id", "../etc/passwd"),
        ("session_id", "a b"),
        ("session_id", "会话"),
        ("session_id", "a\n"),
        ("temperature", 3),
        ("temperature", "warm"),
        ("max_tokens", 0),
        ("stream", "maybe"),
        ("system_prompt", []),
    ],
)
def test_an_invalid_field_is_named(server: Server, field: str, value: Any) -> None:
    body = {"message": "你好", field: value}
    errors = problem(server.api.post("chat", json=body), 422, "invalid_field")["errors"]
    assert [error["field"] for error in errors] == [field] and errors[0]["message"]
    assert set(errors[0]) == {"field", "message"}


def test_all_allowed_characters_name_a_session(server: Server) -> None:
    assert server.chat("你好", "Az09_.:-" * 16)["session_id"] == "Az09_.:-" * 16


def test_nul_characters_do_no_harm(server: Server) -> None:
    assert server.chat("你\0好")["response"] == "回声: 你好"


@pytest.mark.parametrize("path", ["clear_current_chat_history", "restore_chat_history"])
def test_a_session_that_does_not_exist_is_404(server: Server, path: str) -> None:
    problem(server.api.post(path, json={"session_id": "nobody"}), 404, "not_found")


@pytest.mark.parametrize("path", ["documents", "tools"])
def test_lists_of_a_session_that_does_not_exist_are_404(server: Server, path: str) -> None:
    problem(server.api.get(path, params={"session_id": "nobody"}), 404, "not_found")


def test_addresses_and_methods_that_do_not_exist(server: Server) -> None:
    problem(server.api.get("nothing"), 404, "not_found")
    problem(server.api.get("documents/doc_nothing"), 404, "not_found")
    wrong = server.api.delete("chat")
    problem(wrong, 405, "method_not_allowed")
    assert "POST" in wrong.headers["allow"]


def test_forms_without_their_file_are_422(server: Server) -> None:
    for path, field in (("chat_with_file", "file"), ("chat_with_image", "image"), ("documents", "file")):
        response = server.api.post(path, files={"other": ("a.txt", b"x")}, data={"session_id": "s", "message": "x"})
        assert field in [error["field"] for error in problem(response, 422, "invalid_field")["errors"]]
        text = server.api.post(path, files={"x": ("", b"x")}, data={"session_id": "s", "message": "x", field: "text"})
        problem(text, 422, "invalid_field")


def test_a_sane_request_id_is_taken_over_and_another_is_made(server: Server) -> None:
    assert server.api.get("health", headers={"X-Request-ID": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    for bad in ("a b", "x" * 200, "<script>"):
        made = server.api.get("health", headers={"X-Request-ID": bad}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{16}", made)


def test_every_line_of_the_log_names_its_request(server: Server, scripted: Upstream) -> None:
    scripted.reply(status(500, "broken"))
    server.api.post("chat", json={"message": "你好"}, headers={"X-Request-ID": "trace-42"})

    def lines(words: str) -> list[str]:
        return [line for line in server.log.splitlines() if "[trace-42]" in line and words in line]

    eventually(lambda: lines("chat.requests"))  # it is written when the answer is out
    assert lines("answered 500")


def test_health_tells_each_part(server: Server) -> None:
    health = server.api.get("health").json()
    assert health["status"] == "ok" and set(health["checks"]) == {"redis", "database", "vector_store", "llm"}
    assert health["checks"]["llm"]["status"] == "ok" and health["version"]
    assert server.api.get("health/live").status_code == server.api.get("health/ready").status_code == 200


def test_health_never_calls_the_model(server: Server, scripted: Upstream) -> None:
    scripted.requests.clear()
    server.api.get("health")
    assert scripted.requests == []


def test_a_store_that_is_away_is_503_and_then_the_service_recovers(make_server: MakeServer, scripted: Upstream) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted", CHROMA_URL="http://127.0.0.1:1")
    health = server.api.get("health")
    assert health.status_code == 200 and health.json()["status"] == "degraded"
    assert server.chat("你好")["response"] == "回声: 你好"  # a turn without documents needs no vector store


def test_speech_needs_a_key(server: Server) -> None:
    assert (
        "DASHSCOPE_API_KEY"
        in problem(server.api.post("tts", json={"text": "你好"}), 503, "provider_not_configured")["detail"]
    )
    problem(server.api.post("tts", json={"text": " "}), 422, "invalid_field")


def test_speech_is_audio(make_server: MakeServer, scripted: Upstream, dashscope: DashScope) -> None:
    server = make_server(
        LLM_API_URL=scripted.url, LLM_API_KEY="k", DASHSCOPE_API_KEY="sk-test", DASHSCOPE_API_URL=dashscope.url
    )
    response = server.api.post("tts", json={"text": "你好，世界。", "voice": "Cherry", "format": "wav"})
    assert response.status_code == 200 and response.headers["content-type"] == "audio/wav"
    assert response.content[:4] == b"RIFF" and len(response.content) > 44


def test_the_log_holds_no_keys_and_no_lines_of_clients(server: Server) -> None:
    server.api.get("nothing%0d%0aFORGED line")
    server.chat("秘密的问题")
    assert "sk-test-secret" not in server.log
    assert not any(line.startswith("FORGED") for line in server.log.splitlines())
    assert "秘密的问题" not in server.log


def test_a_message_beyond_the_models_window_is_422(server: Server) -> None:
    errors = problem(server.api.post("chat", json={"message": "长" * 40_000}), 422, "invalid_field")["errors"]
    assert errors[0]["field"] == "message"


@pytest.mark.parametrize("code", [401, 404])
def test_a_model_that_refuses_us_is_told_apart(server: Server, scripted: Upstream, code: int) -> None:
    scripted.reply(status(code, "sk-live-secret"))
    body = problem(server.api.post("chat", json={"message": "你好"}), 502, "upstream_rejected")
    assert str(code) in body["detail"] and "secret" not in str(body)


def test_a_web_server_on_an_old_database_ends_at_once(server: Server, tmp_path: Path) -> None:
    env = {**server.env, "PORT": "0", "DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "app:create_app()"]
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0 and "models.migrations" in ended.stderr and "Traceback" not in ended.stderr
