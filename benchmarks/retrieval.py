"""Does the document search find the passage? Uploads sets of documents to a running server and asks their questions.

    python benchmarks/retrieval.py --base-url http://127.0.0.1:5000 path/to/set [path/to/another ...]

A set is a folder with `files/`, `docs.jsonl` (a line for each document: `doc_id`, `file`) and `questions.jsonl`. A question
has `question`, `gold_doc_ids` (names of files without their endings) and one of: `spans` (`text`, `left`, `right`: the
answer and what stands around it), `answers`, or `gold_pages`. A hit is a result from the right document that holds the
answer, with its neighbours on one side where they are known, or that is on the right page. White space, case and width are
ignored.

Printed for each set: the share of the questions with a hit at the first, the first 5 and the first 10 places, the mean
reciprocal rank, the time of a search, the characters of five results, and how long the documents took to become searchable.
"""

import argparse
import json
import statistics
import sys
import time
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

PLACES = 10
NEIGHBOURS = 6  # characters beside an answer that must be there too
BATCH = 20  # files in one request
DONE = {"ready", "partial", "failed"}


def plain(text: str | None) -> str:
    return "".join(unicodedata.normalize("NFKC", text or "").lower().split())


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def upload(client: httpx.Client, session: str, files: list[Path]) -> list[dict[str, Any]]:
    """Uploads the files and waits until each is ready or failed; their rows."""
    for first in range(0, len(files), BATCH):
        parts = [("file", (path.name, path.read_bytes())) for path in files[first : first + BATCH]]
        client.post("/documents", data={"session_id": session}, files=parts).raise_for_status()
    while True:
        rows: list[dict[str, Any]] = client.get("/documents", params={"session_id": session}).json()["documents"]
        if all(row["status"] in DONE for row in rows):
            return rows
        time.sleep(0.2)


def has_answer(question: dict[str, Any], result: dict[str, Any]) -> bool:
    if question.get("gold_pages"):
        return result["page"] in map(int, question["gold_pages"])
    text = plain(result["text"])
    spans = question.get("spans") or [{"text": answer} for answer in question["answers"]]
    for answer, left, right in ([plain(span.get(key)) for key in ("text", "left", "right")] for span in spans):
        before, after = left[-NEIGHBOURS:], right[:NEIGHBOURS]
        if not before and not after and answer in text:
            return True
        if (before and before + answer in text) or (after and answer + after in text):
            return True
    return False


def rank(question: dict[str, Any], results: list[dict[str, Any]]) -> int:
    """The place of the first hit, 0 for none."""
    for place, result in enumerate(results, 1):
        if Path(result["filename"]).stem in question["gold_doc_ids"] and has_answer(question, result):
            return place
    return 0


def measure(client: httpx.Client, folder: Path) -> str:
    session = f"retrieval-{uuid.uuid4().hex[:12]}"
    started = time.perf_counter()
    documents = upload(client, session, [folder / "files" / document["file"] for document in lines(folder / "docs.jsonl")])
    seconds = time.perf_counter() - started
    ranks, times, characters = [], [], []
    for question in lines(folder / "questions.jsonl"):
        body = {"query": question["question"], "session_id": session, "k": PLACES}
        started = time.perf_counter()
        results = client.post("/documents/search", json=body).raise_for_status().json()["results"]
        times.append((time.perf_counter() - started) * 1000)
        ranks.append(rank(question, results))
        characters.append(sum(len(result["text"]) for result in results[:5]))
    for document in documents:
        client.delete(f"/documents/{document['id']}")
    shares = [sum(0 < found <= place for found in ranks) / len(ranks) for place in (1, 5, PLACES)]
    reciprocal = statistics.mean(1 / found if found else 0.0 for found in ranks)
    late = sorted(times)[int(0.95 * len(times))]
    failed = sum(document["status"] == "failed" for document in documents)
    name = folder.parent.name if folder.name == "dev" else folder.name
    cells = [name, str(len(ranks)), *(f"{share:.3f}" for share in shares), f"{reciprocal:.3f}"]
    cells += [f"{statistics.median(times):.1f}", f"{late:.1f}", f"{statistics.mean(characters):.0f}"]
    return " | ".join([*cells, str(len(documents)), str(failed), f"{seconds:.1f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--base-url", default="http://127.0.0.1:5000")
    parser.add_argument("--token", default="", help="sent as a bearer token")
    args = parser.parse_args()
    headers = {"Authorization": f"Bearer {args.token}"} if args.token else {}
    print("set | questions | @1 | @5 | @10 | MRR | ms p50 | ms p95 | characters@5 | documents | failed | upload s")
    with httpx.Client(base_url=f"{args.base_url}/api/v1", headers=headers, timeout=120) as client:
        for folder in args.sets:
            print(measure(client, folder))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
