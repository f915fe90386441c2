"""Counters and histograms, kept with prometheus-client; right over several workers when PROMETHEUS_MULTIPROC_DIR is set."""

from prometheus_client import Counter, Histogram

TOOL_CALLS = Counter("chat_tool_calls_total", "Tool calls by tool and status", ("tool", "status"))
TURNS = Counter("chat_turns_total", "Turns by how they ended", ("status",))
FIRST_TOKEN = Histogram("chat_first_token_seconds", "Time from a question to the first token of its answer")
