"""The log: one line a request, when it has ended; nothing forged, nothing secret; one file for all processes."""

import logging
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from fakes.replies import hang, text
from fakes.upstream import Upstream
from fixtures.ingestion import eventually
from fixtures.server import ROOT, Server
from utils.logs import OneLine, SharedFile

LINE = re.compile(r"(\d{4}-\d\d-\d\d [\d:,]+) (\w+) ([\w.]+) \[([\w.:-]+)\] (.+)")
WRITER = """
import logging, os, sys
from utils.logs import configure_logging
from utils.settings import Settings
configure_logging(Settings())
name = sys.argv[1]
if os.fork() == 0:
    name += "-child"
for number in range(int(sys.argv[2])):
    logging.getLogger("app").info("%s %d 中文 %s", name, number, "x" * (number % 300))
os._exit(0) if name.endswith("child") else os.wait()
"""


def lines(server: Server, request_id: str) -> list[str]:
    """What the log file says of a request, after the name of the logger."""
    text = Path(server.env["LOG_FILE"]).read_text()
    return [match[5] for match in map(LINE.fullmatch, text.splitlines()) if match and match[4] == request_id]


def line(server: Server, request_id: str) -> str:
    """The one line of a request; it comes after the answer."""
    eventually(lambda: lines(server, request_id))
    (only,) = lines(server, request_id)
    return only


def test_processes_share_a_file_and_its_rotation_without_loss_or_mixture(tmp_path: Path) -> None:
    path, each = tmp_path / "logs" / "chat.log", 3000
    env = {**os.environ, "LOG_FILE": str(path), "LOG_MAX_BYTES": "20000", "LOG_BACKUPS": "500"}
    command = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen([*command, name, str(each)], cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
        for name in ("eins", "zwei")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    files = sorted(path.parent.iterdir())
    assert len(files) > 60
    assert all(20_000 <= file.stat().st_size < 22_000 for file in files if file != path)  # each was full when it was moved
    found = [LINE.fullmatch(row) for file in files for row in file.read_text().splitlines()]
    expected = {
        f"{name} {number} 中文 {'x' * (number % 300)}"
        for name in ("eins", "eins-child", "zwei", "zwei-child")
        for number in range(each)
    }
    assert len(found) == len(expected) and {match[5] for match in found if match} == expected


def test_only_so_many_rotated_files_are_kept(tmp_path: Path) -> None:
    file = SharedFile(tmp_path / "log", max_bytes=10, backups=2)
    for number in range(5):
        file.write(f"line {number} long\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "log.1": "line 4 long\n",
        "log.2": "line 3 long\n",
    }


def test_a_file_that_was_moved_or_deleted_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = SharedFile(path, max_bytes=1000, backups=2)
    file.write("one\n")
    path.rename(tmp_path / "elsewhere")
    file.write("two\n")
    path.unlink()
    file.write("three\n")
    assert path.read_text() == "three\n"


def test_others_cannot_read_the_file(guarded_server: Server) -> None:
    assert stat.S_IMODE(Path(guarded_server.env["LOG_FILE"]).stat().st_mode) & 0o137 == 0


def test_a_log_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {**os.environ, "LOG_FILE": str(tmp_path / "file" / "chat.log")}
    ended = subprocess.run([sys.executable, "-c", WRITER, "x", "1"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert ended.returncode == 1 and ended.stderr.startswith("LOG_FILE cannot be written: ")


def test_a_request_is_one_line_on_console_and_in_the_file(guarded_server: Server) -> None:
    answer = guarded_server.api.get("documents/无?token=geheim", headers={"X-Request-ID": "zeile-1"})
    told = re.fullmatch(r"GET /api/v1/documents/无 404 (\d+\.\d) ms (\d+) bytes", line(guarded_server, "zeile-1"))
    assert told and 0 < float(told[1]) < 10_000 and int(told[2]) == len(answer.content)
    assert len([row for row in guarded_server.log.splitlines() if "[zeile-1]" in row]) == 1
    assert "geheim" not in guarded_server.log


def test_a_stream_is_logged_when_it_ends(guarded_server: Server, scripted: Upstream) -> None:
    scripted.requests.clear()
    scripted.reply(text("前半"), hang(), text("后半"))
    url, headers = f"{guarded_server.url}/api/v1/chat", {"X-Request-ID": "strom-1", "X-Forwarded-For": "10.0.0.1"}
    with httpx.stream("POST", url, json={"message": "讲", "stream": True}, headers=headers, timeout=30) as answer:
        received = answer.iter_bytes()
        sent, began = len(next(received)), time.perf_counter()
        assert scripted.arrived(1)[0].hanging.wait(10)
        assert lines(guarded_server, "strom-1") == []
        seconds = time.perf_counter() - began
        scripted.release()
        sent += sum(map(len, received))
    told = re.fullmatch(r"POST /api/v1/chat 200 (\d+\.\d) ms (\d+) bytes", line(guarded_server, "strom-1"))
    assert told and float(told[1]) >= seconds * 1000 and int(told[2]) == sent


def test_a_reader_who_leaves_a_stream_is_told(guarded_server: Server, scripted: Upstream) -> None:
    scripted.requests.clear()
    scripted.reply(text("前半"), hang(), *[text("后半" * 1000)] * 20)
    url, headers = f"{guarded_server.url}/api/v1/chat", {"X-Request-ID": "strom-2", "X-Forwarded-For": "10.0.0.2"}
    with httpx.stream("POST", url, json={"message": "讲", "stream": True}, headers=headers, timeout=30) as answer:
        next(answer.iter_bytes())
    scripted.release()
    assert line(guarded_server, "strom-2").endswith(" bytes cut short")


def test_what_a_client_sends_forges_no_line_and_no_colour(guarded_server: Server) -> None:
    answer = guarded_server.api.get("documents/a%0D%0AFORGED%1B[31m%E2%80%A8%C2%85b", headers={"X-Request-ID": "falsch-1"})
    assert answer.status_code == 404
    assert line(guarded_server, "falsch-1").startswith(r"GET /api/v1/documents/a\r\nFORGED\x1b[31m\u2028\x85b 404 ")
    for output in (guarded_server.log, Path(guarded_server.env["LOG_FILE"]).read_text()):
        assert "\x1b" not in output and not any(row.startswith("FORGED") for row in output.splitlines())


def test_the_lines_of_a_traceback_are_indented() -> None:
    try:
        raise ValueError("a\n2026-01-01 00:00:00,000 INFO app [-] FORGED")
    except ValueError:
        record = logging.LogRecord("app", logging.ERROR, "", 1, "It %s", ("failed\n",), sys.exc_info())
    first, *others = OneLine("%(message)s").format(record).splitlines()
    assert first == r"It failed\n" and len(others) > 3 and all(row.startswith("  ") for row in others)


@pytest.mark.parametrize("given", ["a b", "x\ty", "x" * 129])
def test_a_request_id_that_is_not_sane_is_not_logged(guarded_server: Server, given: str) -> None:
    made = guarded_server.api.get("health/live", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert line(guarded_server, made) and given not in guarded_server.log


def test_a_websocket_is_logged_when_it_ends(guarded_server: Server) -> None:
    url = f"{guarded_server.url.replace('http', 'ws')}/ws/chat/protokoll"
    with connect(url, additional_headers={"X-Request-ID": "ws-1"}) as websocket:
        websocket.send('{"type": "unbekannt"}')
        assert "invalid_field" in websocket.recv(timeout=10)
        assert lines(guarded_server, "ws-1") == []
    assert re.fullmatch(r"GET /ws/chat/protokoll 101 \d+\.\d ms 0 bytes", line(guarded_server, "ws-1"))
