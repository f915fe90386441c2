"""The vector store, on a real Chroma server."""

import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import chromadb
import numpy as np
import pytest

from fakes.proxy import Proxy
from models.vector_db_manager import ADD_ROWS, StoredDocument, StoredPassage, VectorStore
from utils.errors import StoreUnavailable, UpstreamError


def document(id: str = "", passages: int = 3, dimensions: int = 4, seed: int = 1) -> StoredDocument:
    vectors = np.random.default_rng(seed).normal(size=(passages + 1, dimensions)).astype(np.float32)
    return StoredDocument(
        id=id or uuid.uuid4().hex,
        filename="员工手册.pdf",
        holder="kb_7",
        summary="关于假期的规定。",
        passages=[
            StoredPassage(n // 2, f"第 {n} 段。\n", n * 10, n + 1 if n else None, "" if n % 2 else "第一章 > 假期")
            for n in range(passages)
        ],
        vectors=vectors,
    )


def assert_same(found: StoredDocument, stored: StoredDocument) -> None:
    assert replace(found, vectors=None) == replace(stored, vectors=None)
    assert found.vectors is not None and stored.vectors is not None
    assert found.vectors.dtype == np.float32
    assert np.allclose(found.vectors, stored.vectors, atol=1e-6)


@pytest.fixture
def store(chroma_url: str) -> VectorStore:
    return VectorStore(chroma_url, f"model-{uuid.uuid4().hex}")


@pytest.fixture
def own_chroma(chroma_url: str) -> Iterator[Any]:
    """A client that can look behind the store's back."""
    yield chromadb.HttpClient(chroma_url)


@pytest.fixture
def proxy(chroma_url: str) -> Iterator[Proxy]:
    with Proxy(chroma_url) as server:
        yield server


def test_what_is_added_is_loaded(store: VectorStore) -> None:
    first, second = document(passages=3), document(passages=0, seed=2)
    store.add(first)
    store.add(second)
    found = store.load([first.id, second.id, "unknown"])
    assert set(found) == {first.id, second.id}
    assert_same(found[first.id], first)
    assert_same(found[second.id], second)
    assert store.load([]) == {}


def test_a_document_of_many_rows_comes_back_in_order(store: VectorStore) -> None:
    stored = document(passages=ADD_ROWS + 250)
    store.add(stored)
    assert_same(store.load([stored.id])[stored.id], stored)


def test_adding_again_replaces_what_was_there(store: VectorStore) -> None:
    old = document(passages=5)
    new = document(old.id, passages=2, seed=2)
    store.add(old)
    store.add(new)
    assert_same(store.load([old.id])[old.id], new)


def test_a_half_written_document_does_not_exist(store: VectorStore, own_chroma: Any) -> None:
    stored = document(passages=3)
    store.add(stored)
    own_chroma.get_collection(store.name, embedding_function=None).delete(ids=[f"{stored.id}:2"])
    assert store.load([stored.id]) == {}
    store.add(stored)
    assert_same(store.load([stored.id])[stored.id], stored)


def test_a_document_that_was_stored_before_there_were_bases_is_held_by_its_conversation(
    store: VectorStore, own_chroma: Any
) -> None:
    stored = document()
    store.add(stored)
    collection = own_chroma.get_collection(store.name, embedding_function=None)
    collection.update(ids=[f"{stored.id}:0"], metadatas=[{"holder": None, "conversation_id": 7}])
    assert_same(store.load([stored.id])[stored.id], replace(stored, holder="7"))


def test_deleting_leaves_nothing_and_spares_others(store: VectorStore, own_chroma: Any) -> None:
    gone, kept = document(), document()
    store.add(gone)
    store.add(kept)
    store.delete([gone.id, "unknown"])
    assert set(store.load([gone.id, kept.id])) == {kept.id}
    assert own_chroma.get_collection(store.name, embedding_function=None).count() == 4


def test_rows_can_be_found_by_chromas_own_search(store: VectorStore, own_chroma: Any) -> None:
    stored = document()
    store.add(stored)
    assert stored.vectors is not None
    collection = own_chroma.get_collection(store.name, embedding_function=None)
    found = collection.query(query_embeddings=[stored.vectors[2]], n_results=1, where={"document_id": stored.id})
    assert found["documents"] == [["第 1 段。\n"]]
    assert found["distances"][0][0] == pytest.approx(0, abs=1e-5)  # of the cosine


def test_each_model_has_vectors_of_its_own(chroma_url: str) -> None:
    old, new = (VectorStore(chroma_url, f"{uuid.uuid4().hex}/模型") for _ in range(2))
    stored = document(dimensions=4)
    old.add(stored)
    (foreign,) = new.load([stored.id]).values()
    assert foreign == replace(stored, vectors=None)
    assert stored.id in new.foreign() and stored.id not in old.foreign()
    embedded = document(stored.id, dimensions=8)
    new.add(embedded)
    assert_same(new.load([stored.id])[stored.id], embedded)
    assert stored.id not in new.foreign()
    new.delete([stored.id])
    assert old.load([stored.id]) == {} == new.load([stored.id])


def test_a_document_without_a_vector_for_each_passage_is_refused(store: VectorStore) -> None:
    with pytest.raises(ValueError, match="vector"):
        store.add(replace(document(), vectors=None))


def test_what_the_server_refuses_is_not_taken_for_a_server_that_is_away(store: VectorStore) -> None:
    kept = document(dimensions=4)
    store.add(kept)
    with pytest.raises(UpstreamError):
        store.add(document(dimensions=5))
    assert store.load([kept.id])


def test_it_goes_on_after_its_collection_was_lost(store: VectorStore, own_chroma: Any) -> None:
    stored = document()
    store.add(stored)
    own_chroma.delete_collection(store.name)
    assert store.load([stored.id]) == {}
    store.add(stored)
    assert_same(store.load([stored.id])[stored.id], stored)


def load_in_child(store: VectorStore, id: str, answers: Any) -> None:
    answers.put([store.load([id])[id].filename for _ in range(20)])


def test_a_store_that_was_used_before_a_fork_works_in_parent_and_child(store: VectorStore) -> None:
    first, second = document(), replace(document(), filename="other.txt")
    store.add(first)
    store.add(second)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=load_in_child, args=(store, first.id, answers))
    child.start()
    assert {store.load([second.id])[second.id].filename for _ in range(20)} == {"other.txt"}
    assert set(answers.get()) == {"员工手册.pdf"}
    child.join(10)
    assert child.exitcode == 0


def test_many_threads_may_use_it_at_once(store: VectorStore) -> None:
    documents = [document(seed=n) for n in range(8)]
    found: dict[str, StoredDocument] = {}

    def work(stored: StoredDocument) -> None:
        store.add(stored)
        found.update(store.load([stored.id]))

    threads = [threading.Thread(target=work, args=(stored,)) for stored in documents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stored in documents:
        assert_same(found[stored.id], stored)


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9", "nonsense"])
def test_a_store_that_is_away_says_so(url: str) -> None:
    store = VectorStore(url, "model")
    for call in (store.heartbeat, lambda: store.load(["a"]), lambda: store.add(document()), lambda: store.delete(["a"])):
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert "vector_store" in caught.value.message("en")


def test_a_server_that_fails_or_speaks_otherwise_says_so(upstream: Any) -> None:
    with pytest.raises(StoreUnavailable):
        VectorStore(upstream.root, "model").heartbeat()


def test_a_server_that_hangs_is_given_up(proxy: Proxy) -> None:
    store = VectorStore(proxy.url, "model", timeout=(0.3, 0.3))
    proxy.silent.set()
    with pytest.raises(StoreUnavailable):
        store.heartbeat()
    proxy.silent.clear()
    store.heartbeat()
    proxy.silent.set()
    with pytest.raises(StoreUnavailable):
        store.load(["a"])
    proxy.silent.clear()
    assert store.load(["a"]) == {}


def test_the_heartbeat_answers(store: VectorStore) -> None:
    store.heartbeat()
