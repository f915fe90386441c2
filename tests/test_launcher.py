"""`python app.py`: everything with one command, without a key or a server."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from fixtures.ingestion import eventually
from fixtures.server import ROOT
from fixtures.stores import free_port
from models.database import Database
from models.migrations import upgrade
from models.turn_records import open_turn
from models.turns import SessionKey, Turn


@dataclass
class Product:
    process: subprocess.Popen[str]
    url: str
    seconds: float
    data: Path

    def descendants(self) -> set[int]:
        """The pids of all processes below the launcher."""
        found, ahead = set(), [self.process.pid]
        while ahead:
            pid = ahead.pop()
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                children = [int(child) for child in task.read_text().split()]
                found.update(children)
                ahead += children
        return found


def command(data: Path, port: int) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_URL"))}
    return {**env, "PORT": str(port), "DATA_DIR": str(data), "UPLOAD_DIR": str(data / "uploads")}


def launch(data: Path, port: int) -> subprocess.Popen[str]:
    with (data / "stderr").open("w") as stderr:
        return subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=command(data, port),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )


@contextlib.contextmanager
def running(data: Path) -> Iterator[Product]:
    """The product on that data."""
    started, port = time.monotonic(), free_port()
    process = launch(data, port)
    try:
        url = f"http://127.0.0.1:{port}"
        while time.monotonic() < started + 60 and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/api/v1/health/ready").is_success:
                    break
        assert process.poll() is None, (data / "stderr").read_text()
        yield Product(process, url, time.monotonic() - started, data)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running(tmp_path_factory.mktemp("product")) as started:
        yield started


def test_it_answers_without_any_key(product: Product) -> None:
    health = httpx.get(f"{product.url}/api/v1/health").json()
    assert health["status"] == "ok" and health["checks"]["llm"]["status"] == "offline"
    answer = httpx.post(f"{product.url}/api/v1/chat", json={"message": "你好"}).json()
    assert "LLM_API_KEY" in answer["response"]


def test_the_log_of_all_parts_is_a_file_too(product: Product) -> None:
    httpx.get(f"{product.url}/api/v1/health/live", headers={"X-Request-ID": "datei-1"})
    log = product.data / "logs" / "chat.log"
    eventually(lambda: "[datei-1] GET /api/v1/health/live 200" in log.read_text())
    eventually(lambda: "services.ingestion_worker" in log.read_text())


def test_a_second_one_on_the_same_data_is_refused(product: Product) -> None:
    second = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=command(product.data, free_port()), capture_output=True, text=True
    )
    assert second.returncode == 1 and "running already" in second.stderr


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "app.py"], cwd=ROOT, env=command(tmp_path, port), capture_output=True, text=True
        )
    assert refused.returncode == 1 and str(port) in refused.stderr and "Traceback" not in refused.stderr


def test_a_part_that_dies_is_started_again(product: Product) -> None:
    chroma = next(pid for pid in product.descendants() if b"chroma" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(chroma, signal.SIGKILL)
    states = set()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and "ok" not in states:
        state = httpx.get(f"{product.url}/api/v1/health", timeout=20).json()["checks"]["vector_store"]["status"]
        if chroma not in product.descendants():
            states.add(state)
    assert "ok" in states


def test_sigterm_ends_all_parts_and_frees_the_port(tmp_path: Path) -> None:
    port = free_port()
    process = launch(tmp_path, port)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]  # printed when it is ready
    assert f"http://127.0.0.1:{port}" in lines[1], (tmp_path / "stderr").read_text()
    product = Product(process, "", 0, tmp_path)
    below = product.descendants()
    assert len(below) >= 5  # valkey, chroma, ingestion worker, gunicorn and its workers
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=45)
    assert process.returncode == 0
    assert [pid for pid in below if Path(f"/proc/{pid}").exists()] == []
    with contextlib.closing(socket.create_server(("127.0.0.1", port))):
        pass


def test_what_ran_when_the_power_went_is_marked_at_the_next_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chat.db"
    upgrade(url)
    database = Database(url)
    with database.write() as connection:
        open_turn(connection, Turn(SessionKey("local", "s"), "没有答完的问题"), ttl=3600)
    database.close()
    with running(tmp_path) as product:
        history = httpx.get(f"{product.url}/conversations/s/history").json()["messages"]
    assert [(message["content"], message["status"]) for message in history] == [
        ("没有答完的问题", "complete"),
        ("", "interrupted"),
    ]
