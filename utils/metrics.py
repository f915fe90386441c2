"""What is counted, kept with prometheus-client.

Where PROMETHEUS_MULTIPROC_DIR was set before this was imported, as deploy/gunicorn.conf.py does, each process keeps its
numbers in a file there and `page` adds them up, whichever worker is asked.
"""

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

TOOL_CALLS = Counter("chat_tool_calls_total", "Tool calls by tool and status", ("tool", "status"))
TURNS = Counter("chat_turns_total", "Turns by how they ended", ("status",))
FIRST_TOKEN = Histogram("chat_first_token_seconds", "Time from a question to the first token of its answer")
TOKENS = Counter("chat_tokens_total", "Tokens by model and direction, input or output", ("model", "direction"))
REQUESTS = Counter("chat_http_requests_total", "Requests by method, route and status", ("method", "route", "status"))
REQUEST_SECONDS = Histogram(
    "chat_http_request_seconds",
    "Time until the end of the answer, streams included, by method and route",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
IN_FLIGHT = Gauge("chat_http_requests_in_flight", "Requests that are being answered", multiprocess_mode="livesum")

MEDIA_TYPE = CONTENT_TYPE_LATEST


def page() -> bytes:
    """The numbers of all processes in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
