"""Turns per second and time to the first token, of the whole product and of the bare upstream, in the same run.

    .venv/bin/python benchmarks/turns.py [--seconds 8] [--repeats 3]

Starts the scripted upstream (50 tokens an answer) and the product (`app.py`: two workers, memory, SQL, metrics), each as
processes of their own on loopback, and loads them from this process, all on the same cores. Three loads: 32 clients at once
as fast as they can; one client; 300 clients at once with 20 ms between tokens. Each figure is the median of the repeats;
the spread stands beside it. What counts is the ratio to the bare upstream of the same repeat.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

ROOT = Path(__file__).resolve().parent.parent
TOKENS = 50
PACED_CLIENTS = 300
PACE_SECONDS = 0.02


@dataclass(frozen=True)
class Target:
    """Where to POST, what, and what a first token looks like in the bytes of the answer."""

    name: str
    url: str
    mark: bytes

    def body(self, client: int) -> dict[str, Any]:
        if self.name == "upstream":
            return {"model": "m", "stream": True, "messages": [{"role": "user", "content": "你好"}]}
        return {"message": "你好", "session_id": f"bench-{client}", "stream": True}


def free_port() -> int:
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def process(command: list[str], ready_url: str, env: dict[str, str] | None = None) -> Iterator[None]:
    child = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(ready_url, timeout=1)
                break
            except OSError:
                if time.monotonic() > deadline or child.poll() is not None:
                    raise SystemExit(f"{command} did not start") from None
                time.sleep(0.1)
        yield
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(60)


@contextlib.contextmanager
def servers(interval: float) -> Iterator[tuple[Target, Target]]:
    """The upstream and the product in front of it."""
    up, port = free_port(), free_port()
    scripted = [
        sys.executable,
        "tests/fakes/upstream.py",
        "--port",
        str(up),
        "--tokens",
        str(TOKENS),
        "--interval",
        str(interval),
    ]
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "PORT": str(port), "DATA_DIR": data, "UPLOAD_DIR": f"{data}/uploads", "LOG_LEVEL": "WARNING"}
        env |= {
            "LLM_API_URL": f"http://127.0.0.1:{up}/v1",
            "LLM_API_KEY": "k",
            "LLM_MODEL": "m",
            "LLM_CONTEXT_TOKENS": "4000",
        }
        product = f"http://127.0.0.1:{port}/api/v1"
        with (
            process(scripted, f"http://127.0.0.1:{up}/v1/models"),
            process([sys.executable, "app.py"], f"{product}/health/ready", env),
        ):
            yield (
                Target("upstream", f"http://127.0.0.1:{up}/v1/chat/completions", b'"content"'),
                Target("product", f"{product}/chat", b'"chunk"'),
            )


async def turn(session: aiohttp.ClientSession, target: Target, client: int) -> float:
    """One streamed turn, read to its end; the time to the first token in seconds."""
    started, first = time.perf_counter(), 0.0
    async with session.post(target.url, json=target.body(client)) as response:
        if response.status != 200:
            raise SystemExit(f"{target.name} answered {response.status}: {await response.text()}")
        async for part in response.content.iter_any():
            if not first and target.mark in part:
                first = time.perf_counter() - started
    if not first:
        raise SystemExit(f"{target.name} gave no token")
    return first


async def load(target: Target, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Turns per second and times to the first token, with so many clients at once."""
    waits: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        deadline = time.perf_counter() + seconds

        async def client(number: int) -> None:
            while time.perf_counter() < deadline:
                waits.append(await turn(session, target, number))

        started = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(clients)))
        return len(waits) / (time.perf_counter() - started), waits


def p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """One repeat: each figure for both targets."""
    figures: dict[str, dict[str, float]] = {}

    def keep(target: Target, name: str, value: float) -> None:
        figures.setdefault(name, {})[target.name] = value

    def run(target: Target, clients: int, duration: float) -> tuple[float, list[float]]:
        return uvloop.run(load(target, clients, duration))

    with servers(interval=0) as targets:
        for target in targets:
            run(target, 32, 1)  # warm-up
            keep(target, "turns/s, 32 clients", run(target, 32, seconds)[0])
            keep(target, "first token ms, 1 client", statistics.median(run(target, 1, seconds / 2)[1]) * 1000)
    with servers(interval=PACE_SECONDS) as targets:
        for target in targets:
            run(target, 32, 1)
            keep(target, "first token ms, 300 paced, p95", p95(run(target, PACED_CLIENTS, seconds)[1]) * 1000)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    repeats = [measure(options.seconds) for _ in range(options.repeats)]
    for name in repeats[0]:
        row = {}
        for target in ("upstream", "product"):
            values = [repeat[name][target] for repeat in repeats]
            row[target] = f"{statistics.median(values):8.1f} ({min(values):.1f}-{max(values):.1f})"
        ratio = statistics.median(repeat[name]["product"] / repeat[name]["upstream"] for repeat in repeats)
        print(f"{name:<32} upstream {row['upstream']:<24} product {row['product']:<24} ratio {ratio:.2f}")
    print(json.dumps(repeats))


if __name__ == "__main__":
    main()
