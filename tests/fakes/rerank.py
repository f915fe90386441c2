"""A scripted reranker on loopback, in the two wire formats: `POST /v1/rerank`, and DashScope's.

    with RerankServer() as server:
        server.relevance = lambda question, text: float("年假" in text)
        ...
        assert server.asked[0]["documents"] == [...]

Without a function it answers by the characters that a text shares with the question. `reply` makes another answer of a
request, such as an error. Results come best first, as vendors give them.
"""

import json
from collections.abc import Callable
from typing import Any

from fakes.website import Reply, Request, Website

COMMON = "/v1/rerank"
DASHSCOPE = "/api/v1/services/rerank/text-rerank/text-rerank"


def shared(question: str, text: str) -> float:
    return len(set(question) & set(text)) / len(set(question))


class RerankServer(Website):
    def __init__(self) -> None:
        super().__init__()
        self.relevance: Callable[[str, str], float] = shared
        self.reply: Callable[[Request], Reply] | None = None
        for path in (COMMON, "/v1/reranks", DASHSCOPE):
            self.on(path, self._answer)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        return [json.loads(request.body) for request in self.requests]

    def _answer(self, request: Request) -> Reply:
        if self.reply:
            return self.reply(request)
        body = json.loads(request.body)
        if request.path == DASHSCOPE:
            wanted, results = body["parameters"]["top_n"], self._results(**body["input"])
            return answer({"output": {"results": results[:wanted]}, "usage": {"total_tokens": 7}, "request_id": "r-1"})
        return answer({"model": body["model"], "results": self._results(body["query"], body["documents"])[: body["top_n"]]})

    def _results(self, query: str, documents: list[str]) -> list[dict[str, Any]]:
        judged = [{"index": place, "relevance_score": self.relevance(query, text)} for place, text in enumerate(documents)]
        return sorted(judged, key=lambda result: -result["relevance_score"])


def answer(body: object, status: int = 200) -> Reply:
    return Reply(json.dumps(body), status, {"Content-Type": "application/json"})
