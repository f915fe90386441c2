"""Rerankers, through DashScope's own SDK and through HTTP, against a server that speaks both."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from fakes.rerank import COMMON, DASHSCOPE, RerankServer, answer
from fakes.upstream import refusing_url
from fakes.website import Reply, Website
from models.rerankers import Judgement, Reranker, reranker
from utils.errors import ChatError, ProviderNotConfigured, UpstreamBusy, UpstreamError, UpstreamRejected, UpstreamTimeout
from utils.settings import Settings

TEXTS = ["报销须在三十天内提交。", "员工每年享有十天年假。", "Lunch is at noon."]


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "RERANK_MODEL",
        "RERANK_API_URL",
        "RERANK_API_KEY",
        "LLM_API_KEY",
        "DASHSCOPE_API_KEY",
        "EMBEDDING_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[RerankServer]:
    with RerankServer() as running:
        yield running


def made(**values: object) -> Reranker:
    found = reranker(Settings(RERANK_MODEL="m", **values))  # type: ignore[arg-type]
    assert found
    return found


def common(server: Website, **values: object) -> Reranker:
    return made(RERANK_API_URL=f"{server.url}/v1", **values)


def dashscope(server: Website, **values: object) -> Reranker:
    return made(DASHSCOPE_API_URL=server.url, DASHSCOPE_API_KEY="sk-dash", **values)


BOTH = pytest.mark.parametrize("kind", [common, dashscope])


def test_none_is_used_unless_one_is_set() -> None:
    assert reranker(Settings(DASHSCOPE_API_KEY="sk-x", RERANK_API_URL="http://127.0.0.1:1/v1")) is None  # type: ignore[arg-type]


def test_choosing_one_loads_no_client() -> None:
    script = """
import sys
from models.rerankers import reranker
from utils.settings import Settings
assert reranker(Settings(RERANK_MODEL="m", DASHSCOPE_API_KEY="sk-x"))
assert "dashscope" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_model_without_an_address_or_a_key_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ProviderNotConfigured):
        made()


@BOTH
def test_texts_are_judged_by_their_places(kind: type[Reranker], server: RerankServer) -> None:
    server.relevance = lambda question, text: float(text == TEXTS[1])
    judgements = kind(server).judge("年假有几天？", TEXTS)
    assert judgements[0] == Judgement(1, 1.0)
    assert sorted(place for place, _ in judgements) == [0, 1, 2]


def test_the_common_format_is_sent(server: RerankServer) -> None:
    common(server, RERANK_API_KEY="sk-own").judge("年假有几天？", TEXTS)
    assert server.paths == [COMMON]
    assert server.asked == [{"model": "m", "query": "年假有几天？", "documents": TEXTS, "top_n": 3}]
    assert server.requests[0].headers["authorization"] == "Bearer sk-own"


def test_dashscopes_format_is_sent(server: RerankServer) -> None:
    dashscope(server).judge("年假有几天？", TEXTS)
    assert server.paths == [DASHSCOPE]
    assert server.asked[0]["model"] == "m"
    assert server.asked[0]["input"] == {"query": "年假有几天？", "documents": TEXTS}
    assert server.asked[0]["parameters"] == {"return_documents": False, "top_n": 3}
    assert server.requests[0].headers["authorization"] == "Bearer sk-dash"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/rerank", "/v1/reranks"])
def test_an_address_may_be_given_whole(path: str, server: RerankServer) -> None:
    made(RERANK_API_URL=f"{server.url}{path}").judge("年假", TEXTS)
    assert server.paths == ["/v1/reranks" if path.endswith("s") else "/v1/rerank"]


@pytest.mark.parametrize("name", ["DASHSCOPE", "LLM", "EMBEDDING"])
def test_the_key_of_another_model_goes_to_the_same_address_only(name: str, server: RerankServer) -> None:
    key = {f"{name}_API_KEY": "sk-other"}
    common(server, **{f"{name}_API_URL": f"{server.url}/v1"}, **key).judge("年假", TEXTS)
    common(server, **{f"{name}_API_URL": "http://127.0.0.1:1/v1"}, **key).judge("年假", TEXTS)
    common(server, **key).judge("年假", TEXTS)
    assert [request.headers.get("authorization") for request in server.requests] == ["Bearer sk-other", None, None]


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirection_is_not_followed(status: int, server: RerankServer) -> None:
    with RerankServer() as other:
        server.reply = lambda request: Reply(status=status, headers={"Location": f"{other.url}{request.path}"})
        with pytest.raises(UpstreamError):
            common(server, RERANK_API_KEY="sk-own").judge("年假", TEXTS)
        assert other.requests == []


def test_dashscopes_client_takes_no_key_along_to_another_host(server: RerankServer) -> None:
    with RerankServer() as other:
        server.reply = lambda request: Reply(status=307, headers={"Location": f"{other.url}{request.path}"})
        dashscope(server).judge("年假", TEXTS)
        assert len(other.requests) == 1 and "authorization" not in other.requests[0].headers


def test_lone_surrogates_are_sent_as_something_else(server: RerankServer) -> None:
    common(server).judge("年\ud800假", ["破损\udc00字符"])
    assert server.asked[0]["query"] == "年?假" and server.asked[0]["documents"] == ["破损?字符"]


@BOTH
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer({"code": "Throttling.RateQuota", "message": "slow"}, 429), UpstreamBusy),
        (answer({"error": "overloaded"}, 503), UpstreamBusy),
        (answer({"code": "InvalidApiKey", "message": "no"}, 401), UpstreamRejected),
        (answer({"detail": "too long"}, 400), UpstreamError),
        (answer({"detail": "broken"}, 500), UpstreamError),
        (Reply("<html>proxy</html>", 502), UpstreamError),
        (Reply("<html>proxy</html>"), UpstreamError),
        (Reply("", headers={"Content-Type": "application/json"}), UpstreamError),
        (answer({"output": None, "results": None}), UpstreamError),
        (answer({}), UpstreamError),
        (answer([]), UpstreamError),
        (answer({"results": [{"index": 0}], "output": {"results": [{"index": 0}]}}), UpstreamError),
        (answer({"results": [7], "output": {"results": [7]}}), UpstreamError),
        (
            answer(
                {
                    "results": [{"index": "first", "relevance_score": 1}],
                    "output": {"results": [{"index": "first", "relevance_score": 1}]},
                }
            ),
            UpstreamError,
        ),
    ],
)
def test_every_failure_becomes_one_of_our_errors(
    kind: type[Reranker], reply: Reply, error: type[ChatError], server: RerankServer
) -> None:
    server.reply = lambda request: reply
    with pytest.raises(error) as caught:
        kind(server).judge("年假", TEXTS)
    assert type(caught.value) is error
    assert len(server.requests) == 1


@BOTH
def test_a_server_that_hangs_is_waited_for_once(kind: type[Reranker], server: RerankServer) -> None:
    server.reply = lambda request: Reply(
        b"{", headers={"Content-Type": "application/json", "Content-Length": "9"}, hang=True
    )
    model = kind(server, RERANK_TIMEOUT_SECONDS=0.5)
    for _ in range(2):
        with pytest.raises(UpstreamTimeout):
            model.judge("年假", TEXTS)
    assert len(server.requests) == 1  # the next searches go without it


def test_a_server_that_is_not_there_is_an_error() -> None:
    with refusing_url() as url, pytest.raises(UpstreamError):
        made(RERANK_API_URL=url).judge("年假", TEXTS)


@BOTH
def test_no_key_gets_into_the_log(kind: type[Reranker], server: RerankServer, caplog: pytest.LogCaptureFixture) -> None:
    server.reply = lambda request: answer({"message": "wrong key sk-own, sk-dash", "code": "InvalidApiKey"}, 401)
    with pytest.raises(UpstreamError):
        kind(server, RERANK_API_KEY="sk-own").judge("年假", TEXTS)
    assert "wrong key" in caplog.text
    assert "sk-own" not in caplog.text
