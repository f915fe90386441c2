"""The files of a knowledge base for search: segments, and a `manifest`, the list of those that count, the newest last.

Whoever changes a folder holds its lock, and writes new segments first, then the manifest, and deletes others last. So a
reader has all of the old or all of the new, and what it has opened stays valid.
"""

import contextlib
import logging
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

import orjson

from services.document_files import locked
from services.search.segments import Segment, Source, write
from utils.errors import StoreUnavailable

log = logging.getLogger(__name__)

MANIFEST = "manifest"
SUFFIX = ".segment"

Stamp = tuple[int, int]


class BaseFolder:
    """Of one base. The folder need not exist; reading never fails. Writing raises StoreUnavailable when the disk is full."""

    def __init__(self, parent: Path, base_id: str) -> None:
        self.path = parent / PurePath(base_id).name

    @property
    def stamp(self) -> Stamp:
        """Another one after each change."""
        try:
            found = (self.path / MANIFEST).stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def names(self) -> list[str]:
        """The segments that count."""
        try:
            names = orjson.loads((self.path / MANIFEST).read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            log.warning("the manifest of %s is damaged: %r", self.path.name, error)
            return []
        return [str(name) for name in names] if isinstance(names, list) else []

    def open(self, opened: Mapping[str, Segment]) -> dict[str, Segment]:
        """The segments by name, some of which may be `opened` already. One that is damaged or gone is left out."""
        while True:
            names = self.names()
            found = {name: segment for name in names if (segment := opened.get(name) or self._read(name))}
            if len(found) == len(names) or names == self.names():  # else another process has replaced some meanwhile
                return found

    def age(self, name: str) -> float:
        """Seconds since a segment was written."""
        with contextlib.suppress(OSError):
            return time.time() - self._file(name).stat().st_mtime
        return 0.0

    @contextlib.contextmanager
    def locked(self, wait: float) -> Iterator[bool]:
        """Whether nobody else may change the folder now, tried for `wait` seconds. The folder is made."""
        with _written():
            self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path, wait) as mine:
            yield mine

    def add(self, sources: Sequence[Source]) -> tuple[str, Segment]:
        """Writes a segment, which does not count yet; its name, and what was written."""
        name = uuid.uuid4().hex
        with _written():
            write(self._file(name), sources)
            return name, Segment.read(self._file(name))

    def commit(self, names: Sequence[str]) -> None:
        """From now on these segments count, and the files of others are deleted."""
        with _written():
            unfinished = self.path / f"{MANIFEST}.tmp"
            unfinished.write_bytes(orjson.dumps(list(names)))
            unfinished.replace(self.path / MANIFEST)
            kept = {self._file(name) for name in names}
            for path in self.path.glob(f"*{SUFFIX}*"):
                if path not in kept:
                    path.unlink(missing_ok=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _read(self, name: str) -> Segment | None:
        try:
            return Segment.read(self._file(name))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("a segment of %s is damaged and will be made again: %r", self.path.name, error)
            return None

    def _file(self, name: str) -> Path:
        return self.path / f"{PurePath(name).name}{SUFFIX}"


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.error("search files cannot be written: %r", error)
        raise StoreUnavailable(store="search_index") from error
