"""Every wire format renders the same script of turns; what comes out is kept in `golden/`.

After an intended change: `UPDATE_GOLDEN=1 .venv/bin/pytest tests/test_golden.py`, then read the difference.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from golden_script import MESSAGE, SCRIPT, numbered
from models.events import Event
from services.protocols import chunks, data, lines, native, openai, ui

Stream = Callable[[list[list[tuple[str, Event]]]], Iterator[bytes]]

FORMATS: dict[str, Stream] = {
    "native": lambda batches: native.stream(batches, "zh"),
    "openai": lambda batches: openai.Wire(MESSAGE, "agent", 1_700_000_000, True, True).stream(batches, "zh"),
    "ui": lambda batches: ui.stream(batches, "zh"),
    "data": lambda batches: data.stream(batches, "zh"),
    "chunks": lambda batches: chunks.stream(batches, "zh"),
    "lines": lambda batches: lines.stream(batches, "zh"),
}


def rendered(stream: Stream) -> str:
    turns = (f"=== {title}\n{b''.join(stream(numbered(batches))).decode()}" for title, batches in SCRIPT.items())
    return "\n".join(turns)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_renders_the_script_as_its_golden_file_shows(name: str) -> None:
    golden = Path(__file__).parent / "golden" / f"{name}.txt"
    found = rendered(FORMATS[name])
    if "UPDATE_GOLDEN" in os.environ:
        golden.write_text(found)
    assert found == golden.read_text()
