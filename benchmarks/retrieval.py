"""Does the document search find the passage, how fast, and how does the usual pipeline do on the same files?

    .venv/bin/python benchmarks/retrieval.py --sets SETS [--only cmrc_zh xquad_en] [--questions 40] [--output RESULTS.md]

SETS is a folder of sets (see `sets.py` for their format). The product is started as `app.py` with its defaults, on loopback;
all goes through its HTTP API: the files are uploaded, and when all are ready the questions are searched one by one. The
peers' pipeline runs in this process and is spared HTTP (see `minilm.py`; `requirements-benchmarks.txt` has what it needs).
Then some sets are searched again with a reranker, and with another embedding model, both on a server on loopback.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from minilm import Peer
from report import PLACES, Figures, report
from sets import Question, Result, Set, rank, sets
from turns import free_port, process

ROOT = Path(__file__).resolve().parent.parent
BATCH = 20  # files in one request
PAGE_CHARS = 2_000  # where a format has no pages
DONE = {"ready", "partial", "failed"}
MODEL = "all-MiniLM-L6-v2"
EMBEDDED = ("xquad_en", "covid_en")  # sets in the language of that model
RERANKED = (*EMBEDDED, "xquad_zh2en", "cmrc_zh")  # and some that it knows nothing of: they must not suffer


def ask(questions: list[Question], search: Callable[[str, int], list[Result]]) -> tuple[list[int], list[float]]:
    """The place of each question's first hit, and how long its search took in ms."""
    search(questions[0]["question"], PLACES[-1])  # loads what is loaded at the first use
    ranks, times = [], []
    for question in questions:
        started = time.perf_counter()
        results = search(question["question"], PLACES[-1])
        times.append((time.perf_counter() - started) * 1_000)
        ranks.append(rank(question, results))
    return ranks, times


class Product:
    """The running product, through its native API."""

    def __init__(self, url: str) -> None:
        self._api = httpx.Client(base_url=url, timeout=120)

    def measure(self, one: Set, questions: list[Question]) -> Figures:
        session = f"benchmark-{uuid.uuid4().hex[:12]}"
        started = time.perf_counter()
        rows = self._upload(session, one.files)
        seconds = time.perf_counter() - started

        def search(question: str, k: int) -> list[Result]:
            body = {"query": question, "session_id": session, "k": k}
            found = self._api.post("documents/search", json=body).raise_for_status().json()["results"]
            return [Result(result["filename"], result["text"], result["page"]) for result in found]

        ranks, times = ask(questions, search)
        for row in rows:
            self._api.delete(f"documents/{row['id']}").raise_for_status()
        if failed := [row["filename"] for row in rows if row["status"] == "failed"]:
            raise SystemExit(f"{one.name}: {failed} cannot be read")
        return Figures(ranks, times, sum(row["chunk_count"] for row in rows), sum(map(_pages, rows)), seconds)

    def _upload(self, session: str, files: list[Path]) -> list[dict[str, Any]]:
        """Uploads the files and waits until each is ready or failed."""
        ids: list[str] = []
        for first in range(0, len(files), BATCH):
            parts = [("file", (path.name, path.read_bytes())) for path in files[first : first + BATCH]]
            answer = self._api.post("documents", data={"session_id": session}, files=parts).raise_for_status()
            ids += [row["id"] for row in answer.json()["documents"]]
        while True:
            rows = self._api.get("documents", params={"session_id": session}).raise_for_status().json()["documents"]
            if all(row["status"] in DONE for row in rows):
                return [self._api.get(f"documents/{id}").raise_for_status().json() for id in ids]
            time.sleep(0.2)


def _pages(row: dict[str, Any]) -> int:
    characters = sum(page["chars"] for page in row.get("pages") or [])
    return row["page_count"] or max(1, -(-characters // PAGE_CHARS))


@contextlib.contextmanager
def product(**settings: str) -> Iterator[Product]:
    """The product with these settings and defaults for all others."""
    port = free_port()
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "PORT": str(port), "DATA_DIR": data, "UPLOAD_DIR": f"{data}/uploads", "LOG_LEVEL": "WARNING"}
        url = f"http://127.0.0.1:{port}/api/v1"
        with process([sys.executable, "app.py"], f"{url}/health/ready", env | settings):
            yield Product(f"{url}/")


@contextlib.contextmanager
def model_server() -> Iterator[str]:
    """The model on loopback; its base URL."""
    port = free_port()
    with process([sys.executable, "benchmarks/minilm.py", "--port", str(port)], f"http://127.0.0.1:{port}/v1/models"):
        yield f"http://127.0.0.1:{port}/v1"


def peers(one: Set, questions: list[Question], pages: int) -> Figures:
    peer = Peer()
    started = time.perf_counter()
    chunks = peer.index(one.files)
    seconds = time.perf_counter() - started
    ranks, times = ask(questions, peer.search)
    return Figures(ranks, times, chunks, pages, seconds)


def compare(chosen: list[Set], most: int | None) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Ours and the peers' figures of each set."""
    ours, theirs = {}, {}
    with product() as running:
        for one in chosen:
            ours[one.name] = running.measure(one, one.questions(most))
            say(one.name, "ours", ours[one.name])
    for one in chosen:
        theirs[one.name] = peers(one, one.questions(most), ours[one.name].pages)
        say(one.name, "peers", theirs[one.name])
    return ours, theirs


def with_models(chosen: list[Set], most: int | None) -> dict[str, dict[str, Figures]]:
    """The figures of some sets with a reranker, and with another embedding model."""
    found: dict[str, dict[str, Figures]] = {}
    with model_server() as url:
        reranker = {"RERANK_MODEL": MODEL, "RERANK_API_URL": url, "RERANK_TIMEOUT_SECONDS": "60"}
        embedding = {"EMBEDDING_MODEL": MODEL, "EMBEDDING_API_URL": url}
        for kind, settings, names in (("reranker", reranker, RERANKED), ("embedding", embedding, EMBEDDED)):
            before = httpx.get(f"{url}/models").json()
            some = [one for one in chosen if one.name in names]
            with product(**settings) as running:
                found[kind] = {one.name: running.measure(one, one.questions(most)) for one in some}
            if some and httpx.get(f"{url}/models").json() == before:
                raise SystemExit(f"the {kind} model was never asked")
            for name, row in found[kind].items():
                say(name, kind, row)
    return found


def say(*parts: object) -> None:
    print(
        *(
            f"{part.recall} {part.seconds:.1f} s, {part.median:.1f} ms" if isinstance(part, Figures) else part
            for part in parts
        ),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="names of sets")
    parser.add_argument("--questions", type=int, help="only the first of each set")
    parser.add_argument("--output", type=Path, help="where the tables are written")
    options = parser.parse_args()
    chosen = sets(options.sets, options.only)
    if not chosen:
        parser.error(f"no set in {options.sets}")
    ours, theirs = compare(chosen, options.questions)
    others = with_models(chosen, options.questions)
    text = report(ours, theirs, others)
    print(text)
    if options.output:
        options.output.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
