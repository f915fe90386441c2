"""What an uploaded file is, from its content, and what to call it. Reads a bounded part of it and parses little."""

import re
import struct
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from utils.charsets import is_text
from utils.errors import DocumentUnreadable, UnsupportedType
from utils.loaders import Format, formats

HEAD = 65_536
DIRECTORY = 1_000_000  # bytes that are read of a zip file's directory
CODED = re.compile(rb"\s*(?:\{\\rtf|%!PS)")  # characters, but not the text that people see
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OLE_SECTORS = 64  # sectors that are read of an OLE file's directory
MAX_NAME = 255  # bytes
JOINERS = "\u200c\u200d"  # format characters that words and emoji need; the others can make a name look like another


def detect(path: Path, filename: str, allowed: Collection[str] = ()) -> str:
    """The media type of a file, from its content; the name only decides between kinds of text.

    `allowed` are endings of formats that are accepted, none meaning all. Raises UnsupportedType, or DocumentUnreadable where
    the file is empty or encrypted.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        if not head.strip(b"\0\t\n\r \xef\xbb\xbf\xfe\xff"):
            raise DocumentUnreadable("empty")
        ending = PurePosixPath(filename.lower()).suffix.removeprefix(".")
        form = _recognise(file, head, ending)
    if form is None:  # a name that promises what the content is not says nothing
        raise UnsupportedType(type=ending if ending and ending not in endings() else "application/octet-stream")
    if allowed and not set(allowed) & set(form.endings):
        raise UnsupportedType(type=form.media_type)
    return form.media_type


def endings() -> tuple[str, ...]:
    """The endings of names of every format that can be read, sorted."""
    return tuple(sorted({ending for form in formats() for ending in form.endings}))


def clean_filename(filename: str) -> str:
    """A name to show and to store: no folders, no control or direction characters, at most 255 bytes, never empty."""
    name = unicodedata.normalize("NFC", filename.replace("\\", "/").rstrip("/").rpartition("/")[2])
    name = "".join(c for c in name if c in JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    name = name.strip()
    if not name.strip("."):
        return "file"
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, dot, ending = name, "", ""
    room = MAX_NAME - len(f"{dot}{ending}".encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + ending


def _recognise(file: BinaryIO, head: bytes, ending: str) -> Format | None:
    known = formats()
    for form in known:
        if form.magic and form.magic.match(head):
            return form
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        members = list(_zip_members(file))
        return next((f for f in known if f.member and any(name.startswith(f.member) for name in members)), None)
    if head.startswith(OLE):
        streams = set(_ole_streams(file))
        if "EncryptedPackage" in streams:
            raise DocumentUnreadable("encrypted")
        return next((f for f in known if f.stream in streams), None)
    return _recognise_text(known, head, ending)


def _recognise_text(known: tuple[Format, ...], head: bytes, ending: str) -> Format | None:
    named = next((f for f in known if ending in f.endings), None)
    if named and named.hint and named.hint.match(head):
        return named
    if CODED.match(head) or not is_text(head):
        return None
    if named and named.is_text:
        return named
    hinted = (f for f in known if f.is_text and f.hint and f.hint.match(head))
    plain = (f for f in known if f.media_type == "text/plain")
    return next(hinted, None) or next(plain, None)


def _zip_members(file: BinaryIO) -> Iterator[str]:
    """Names in a zip file's directory, with `/` between folders and none before."""
    size = file.seek(0, 2)
    file.seek(max(0, size - HEAD))
    tail = file.read(HEAD)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return
    length = struct.unpack_from("<I", tail, end + 12)[0]
    file.seek(max(0, size - len(tail) + end - length))
    directory = file.read(min(length, DIRECTORY))
    place = 0
    while directory.startswith(b"PK\x01\x02", place) and len(directory) >= place + 46:
        name, extra, comment = struct.unpack_from("<3H", directory, place + 28)
        yield directory[place + 46 : place + 46 + name].decode("utf-8", "replace").replace("\\", "/").lstrip("/")
        place += 46 + name + extra + comment


def _ole_streams(file: BinaryIO) -> Iterator[str]:
    """Names directly under the root of an OLE file."""
    entries = list(_ole_entries(file))
    waiting, seen = [0], set[int]()
    while waiting:
        number = waiting.pop()
        if number < len(entries) and number not in seen:
            seen.add(number)
            length, left, right, child = struct.unpack_from("<H2x3I", entries[number], 64)
            if number:
                waiting += [left, right]
                yield entries[number][: max(0, length - 2)].decode("utf-16-le", "replace")
            else:
                waiting.append(child)


def _ole_entries(file: BinaryIO) -> Iterator[bytes]:
    """The directory of an OLE file, 128 bytes an entry, as far as the part of its FAT in the header reaches."""
    file.seek(0)
    header = file.read(512)
    if len(header) < 512:
        return
    shift, sector = struct.unpack_from("<H", header, 30)[0], struct.unpack_from("<I", header, 48)[0]
    size = 1 << min(shift, 12)
    table = struct.unpack_from("<109I", header, 76)
    for _ in range(OLE_SECTORS):
        file.seek((sector + 1) * size)
        content = file.read(size)
        yield from (content[at : at + 128] for at in range(0, len(content) - 127, 128))
        part, place = divmod(sector, size // 4)
        if part >= len(table):
            return
        file.seek((table[part] + 1) * size + 4 * place)
        following = file.read(4)
        if len(following) < 4:
            return
        sector = struct.unpack("<I", following)[0]
