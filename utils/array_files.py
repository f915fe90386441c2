"""Files of arrays that are read by mapping them into memory. All arrays are in one file, so that one descriptor is enough.

The arrays come first, each at a multiple of 64 bytes; then what describes them, in JSON; then its length, and a mark which a
file that was cut off does not have.
"""

import mmap
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

MARK = b"ARRAYS\r\n"
ALIGNMENT = 64
WORD = 8

Blocks = Iterable[NDArray[Any]]


def write(path: Path, arrays: Iterable[tuple[str, Blocks]], about: Any) -> None:
    """Writes arrays, each given as blocks along its first axis, at least one, and `about`, which JSON must be able to hold.

    Needs the memory of a block. A reader sees the whole file or none. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_native_id()}.tmp")
    try:
        with unfinished.open("wb") as file:
            places = {}
            for name, blocks in arrays:
                file.write(bytes(-file.tell() % ALIGNMENT))
                offset, rows = file.tell(), 0
                for block in blocks:
                    file.write(np.ascontiguousarray(block).data)
                    rows += len(block)
                places[name] = (offset, block.dtype.str, (rows, *block.shape[1:]))
            footer = orjson.dumps({"arrays": places, "about": about})
            file.write(footer + len(footer).to_bytes(WORD, "little") + MARK)
            file.flush()
            os.fsync(file.fileno())  # or, after a power cut, the file may be there without its content
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """The arrays of a file, which cannot be written to and stay valid when it is deleted, and `about`.

    Raises OSError, or ValueError when the file is damaged.
    """
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tail = len(content) - WORD - len(MARK)
    if content[-len(MARK) :] != MARK or tail < 0:
        raise ValueError("the file is cut off")
    size = int.from_bytes(content[tail : tail + WORD], "little")
    described = orjson.loads(content[max(0, tail - size) : tail])
    try:
        return {name: _array(content, *place) for name, place in described["arrays"].items()}, described["about"]
    except (KeyError, TypeError) as error:
        raise ValueError("the file is damaged") from error


def _array(content: mmap.mmap, offset: int, dtype: str, shape: list[int]) -> NDArray[Any]:
    count = int(np.prod(shape))
    flat = np.frombuffer(content, np.dtype(dtype), count, offset) if count else np.empty(0, np.dtype(dtype))
    return flat.reshape(shape)
