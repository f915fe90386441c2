"""Health, and metrics that are right over several workers, killed ones included."""

import contextlib
import os
import signal
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from fakes.upstream import Upstream
from fixtures.ingestion import eventually
from fixtures.server import Server

# each request over a connection of its own, so that either worker may take it
client = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=20)


def get(server: Server, path: str) -> httpx.Response:
    return client.get(f"{server.url}{path}")


def metrics(server: Server) -> dict[tuple[str, str], float]:
    """The samples of the page by (name, labels), such as ("chat_turns_total", "status=complete")."""
    page = get(server, "/metrics")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


def requests(route: str, status: int = 200, method: str = "GET") -> tuple[str, str]:
    return "chat_http_requests_total", f"method={method},route={route},status={status}"


def counted(server: Server, pid: int, route: str) -> float:
    """How many requests to `route` that worker has counted by itself."""
    folder = server.env.get("PROMETHEUS_MULTIPROC_DIR")
    folder = folder or next(Path(server.env["TMPDIR"]).glob("llm-chat-metrics-*"))
    values = MmapedDict.read_all_values_from_file(str(Path(folder) / f"counter_{pid}.db"))
    return sum(value for key, value, *_ in values if "chat_http_requests_total" in key and f'"{route}"' in key)


@contextlib.contextmanager
def unfinished_request(server: Server) -> Iterator[None]:
    """A request whose body is still being sent."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /api/v1/tts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        yield


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_health_is_told_at_the_root_too(guarded_server: Server, path: str) -> None:
    assert get(guarded_server, path).json() == get(guarded_server, "/api/v1/health").json()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "nothing", 404), ("DELETE", "models", 405), ("POST", "chat/completions", 400)]
)
def test_errors_at_openais_addresses_are_openais(guarded_server: Server, method: str, path: str, status: int) -> None:
    answer = client.request(method, f"{guarded_server.url}/v1/{path}", json={"model": "scripted"})
    assert answer.status_code == status and answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert (
        error["message"] and error["type"] == "invalid_request_error" and set(error) == {"message", "type", "param", "code"}
    )


def test_requests_are_summed_over_all_workers_whichever_is_asked(guarded_server: Server) -> None:
    route = "/api/v1/health/live"
    before = metrics(guarded_server).get(requests(route), 0)
    workers = guarded_server.workers()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: get(guarded_server, route), range(200)))
    assert len(workers) == 2 and all(counted(guarded_server, pid, route) > 0 for pid in workers)
    eventually(lambda: metrics(guarded_server)[requests(route)] == before + 200)  # counted after the answer was sent
    pages = [metrics(guarded_server) for _ in range(20)]
    assert all(counted(guarded_server, pid, "/metrics") > 0 for pid in workers)
    assert {page[requests(route)] for page in pages} == {before + 200}
    seconds = "chat_http_request_seconds_count", f"method=GET,route={route}"
    assert {page[seconds] for page in pages} == {before + 200}


def test_series_are_bounded_whatever_is_asked_for(guarded_server: Server) -> None:
    name = uuid.uuid4().hex
    others = requests("unknown", 405, "other")
    before = metrics(guarded_server)
    for number in range(5):
        get(guarded_server, f"/{name}/{number}")
        get(guarded_server, f"/api/v1/documents/{name}-{number}")
        client.request(f"VERB{number}", f"{guarded_server.url}/health")
    eventually(lambda: metrics(guarded_server).get(others, 0) == before.get(others, 0) + 5)
    after = metrics(guarded_server)
    assert not [labels for _, labels in after if name in labels or "VERB" in labels]
    assert after[requests("unknown", 404)] - before.get(requests("unknown", 404), 0) == 5
    documents = requests("/api/v1/documents/<document_id>", 404)
    assert after[documents] - before.get(documents, 0) == 5


def test_a_killed_worker_leaves_its_counts_and_nothing_in_flight(open_server: Server) -> None:
    in_flight = ("chat_http_requests_in_flight", "")
    eventually(lambda: metrics(open_server)[in_flight] == 1)  # the page itself, and nothing of an earlier run
    with unfinished_request(open_server):
        eventually(lambda: metrics(open_server)[in_flight] == 2)
        before = metrics(open_server)
        workers = open_server.workers()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(open_server.workers()) == 2 and not set(workers) & set(open_server.workers()))
        eventually(lambda: metrics(open_server)[in_flight] == 1)
        after = metrics(open_server)
    route = requests("/api/v1/health/ready")
    assert after[route] == before[route] > 0
    eventually(lambda: metrics(open_server)[requests("/metrics")] > before[requests("/metrics")] > 0)


def test_turns_and_their_tokens_are_counted_by_model(guarded_server: Server, scripted: Upstream) -> None:
    def ask(**options: str) -> dict[str, int]:
        headers = {"X-Forwarded-For": "192.0.2.20"}
        answer = client.post(f"{guarded_server.url}/api/v1/chat", json={"message": "你好", **options}, headers=headers)
        usage: dict[str, int] = answer.json()["usage"]
        return usage

    before = metrics(guarded_server)
    usage, other = ask(), ask(model="von-irgendwem")

    def grown(name: str, labels: str) -> float:
        after = metrics(guarded_server)
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0
    for direction in ("input", "output"):
        assert grown("chat_tokens_total", f"direction={direction},model=scripted") == usage[f"{direction}_tokens"]
        assert grown("chat_tokens_total", f"direction={direction},model=other") == other[f"{direction}_tokens"]
    assert grown("chat_turns_total", "status=complete") == 2
    assert grown("chat_first_token_seconds_count", "") == 2
