"""The search endpoint of Tavily, on loopback.

with Tavily() as tavily:
    tavily.result("年假规定", "https://example.com/leave", "员工每年享有十天年假。")
    ...
    assert tavily.queries == ["年假"]
"""

import json
from collections.abc import Callable
from typing import Any

from fakes.website import Reply, Request, Website


class Tavily(Website):
    """`key` is the only one that is accepted; `reply` makes the answer to a search."""

    def __init__(self, key: str = "tvly-test") -> None:
        super().__init__()
        self.key = key
        self.results: list[dict[str, Any]] = []
        self.reply: Callable[[Request], Reply] = self._found
        self.on("/search", lambda request: self.reply(request))

    def result(self, title: str, url: str, content: str) -> None:
        self.results.append({"title": title, "url": url, "content": content, "score": 0.9, "raw_content": None})

    @property
    def queries(self) -> list[str]:
        return [json.loads(request.body)["query"] for request in self.requests]

    def _found(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return failure(401, "Unauthorized: missing or invalid API key.")
        asked = json.loads(request.body)
        found = self.results[: asked.get("max_results", 5)]
        return _json({"query": asked["query"], "answer": None, "images": [], "results": found, "response_time": 0.1})


def failure(status: int, message: str = "no") -> Reply:
    """An error as Tavily words it."""
    return _json({"detail": {"error": message}}, status)


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value, ensure_ascii=False), status, {"Content-Type": "application/json"})
