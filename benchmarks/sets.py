"""Sets of documents and questions, and whether a search result answers a question.

A set is a folder `<name>` or `<name>/dev` with

- `files/`: the documents;
- `docs.jsonl`: a line for each document that is uploaded, `{"doc_id": "a1", "file": "a1.txt"}`;
- `questions.jsonl`: a line for each question, `{"question": "…", "gold_doc_ids": ["a1"], …}` with one of
  `"spans": [{"text": "…", "left": "…", "right": "…"}]` (an answer and what stands around it), `"answers": ["…"]`,
  `"gold_pages": [3]` (pages from 1) or `"match": "doc"`.

A hit is a result from a right document that holds the answer together with what stands on one side of it, or is on a right
page. Of an answer that is longer than a sentence, half must be there: a chunk may end in it. White space, case and width do
not count. `gold_doc_ids` are names of files without their endings.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

NEIGHBOURS = 6  # characters beside an answer
LONG, PIECE = 80, 20  # characters of a long answer, and of the pieces that are looked for

Question = Mapping[str, Any]


class Result(NamedTuple):
    """One result of a search, of any system."""

    filename: str
    text: str
    page: int | None


def plain(text: str | None) -> str:
    return "".join(unicodedata.normalize("NFKC", text or "").lower().split())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


@dataclass(frozen=True)
class Set:
    """`files` are its documents, `folder` has its questions."""

    name: str
    folder: Path
    files: list[Path]

    def questions(self, most: int | None) -> list[Question]:
        return list(_lines(self.folder / "questions.jsonl"))[:most]


def sets(folder: Path, names: list[str]) -> list[Set]:
    """All sets in a folder, or those that are named, and behind a set of several formats the same documents as text."""
    parts = [path / "dev" if (path / "dev").is_dir() else path for path in sorted(folder.iterdir())]
    found = []
    for path in parts:
        name = path.parent.name if path.name == "dev" else path.name
        if not (path / "docs.jsonl").is_file() or (names and name not in names):
            continue
        documents = list(_lines(path / "docs.jsonl"))
        found.append(Set(name, path, [path / "files" / document["file"] for document in documents]))
        plain = [_as_text(f"{document['doc_id']}.txt", parts) for document in documents]
        if any(Path(document["file"]).suffix != ".txt" for document in documents) and all(plain):
            found.append(Set(f"{name}, as text", path, [path for path in plain if path]))
    return found


def _as_text(name: str, parts: list[Path]) -> Path | None:
    return next((path / "files" / name for path in parts if (path / "files" / name).is_file()), None)


def rank(question: Question, results: list[Result]) -> int:
    """The place of the first hit, 0 for none."""
    for place, result in enumerate(results, 1):
        if Path(result.filename).stem in question["gold_doc_ids"] and _answers(question, result):
            return place
    return 0


def _answers(question: Question, result: Result) -> bool:
    if question.get("gold_pages"):
        return result.page in map(int, question["gold_pages"])
    if question.get("match") == "doc":
        return True
    text = plain(result.text)
    spans = question.get("spans") or [{"text": answer} for answer in question["answers"]]
    return any(_holds(text, *(plain(span.get(key)) for key in ("text", "left", "right"))) for span in spans)


def _holds(text: str, answer: str, left: str, right: str) -> bool:
    if len(answer) > LONG:
        pieces = [answer[start : start + PIECE] for start in range(0, len(answer) - PIECE + 1, PIECE // 2)]
        return 2 * sum(piece in text for piece in pieces) >= len(pieces)
    before, after = left[-NEIGHBOURS:], right[:NEIGHBOURS]
    if not before and not after:
        return answer in text
    return bool(before and before + answer in text) or bool(after and answer + after in text)
