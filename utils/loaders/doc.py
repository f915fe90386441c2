"""Documents of Word 6 to 2003, from the table of pieces in which Word keeps their text."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.charsets import guess_encoding
from utils.errors import DocumentUnreadable
from utils.loaders import Format, Loaded, LoadOptions, Page

FORMATS = (Format("application/msword", ("doc", "dot"), stream="WordDocument"),)
WORD_97 = 0x00C1  # version of the file's head
ENCRYPTED, OTHER_TABLE = 0x0100, 0x0200  # flags in the head
PIECES = 0x02  # kind of the part of the Clx that holds the piece table
EIGHT_BITS = 0x40000000  # flag of a piece whose characters take one byte
CONTROLS = re.compile(rb"[\x00-\x1f]")
FIELD, FIELD_RESULT, FIELD_END = "\x13", "\x14", "\x15"
SHOWN = str.maketrans({"\r": "\n", "\x0b": "\n", "\x0c": "\n\n", "\x1e": "-", "\x1f": None, "\x07": "\t"})


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    import olefile

    with olefile.OleFileIO(str(path)) as file:
        text = _text(file)
    return Loaded(None, iter([Page(None, _without_fields(text).replace("\x07\x07", "\n").translate(SHOWN))]))


def _text(file: Any) -> str:
    main: bytes = file.openstream("WordDocument").read()
    version, flags = struct.unpack_from("<H", main, 2)[0], struct.unpack_from("<H", main, 10)[0]
    if flags & ENCRYPTED:
        raise DocumentUnreadable("encrypted")
    if version < WORD_97:
        start, end = struct.unpack_from("<2I", main, 0x18)
        return main[start:end].decode(_eight_bit_encoding(main[start:end]), "replace")
    table = file.openstream("1Table" if flags & OTHER_TABLE else "0Table").read()
    place, size = struct.unpack_from("<2I", main, 0x01A2)
    pieces = list(_pieces(main, table[place : place + size]))
    encoding = _eight_bit_encoding(b"".join(content for content, wide in pieces if not wide))
    return "".join(content.decode("utf-16-le" if wide else encoding, "replace") for content, wide in pieces)


def _eight_bit_encoding(content: bytes) -> str:
    """By the book it is always the Western one; documents that come from Word 6 keep the one of their country."""
    letters = sum(chr(byte).isalpha() for byte in content)
    foreign = sum(byte >= 0xC0 for byte in content) * 2 > letters
    return guess_encoding(CONTROLS.sub(b" ", content)) if foreign else "cp1252"


def _pieces(main: bytes, clx: bytes) -> Iterator[tuple[bytes, bool]]:
    """The pieces of the text in their order (the body, notes, headers, comments, text boxes), and if they are UTF-16."""
    place = 0
    while clx[place] != PIECES:
        place += 3 + struct.unpack_from("<H", clx, place + 1)[0]
    count = (struct.unpack_from("<I", clx, place + 1)[0] - 4) // 12
    ends = struct.unpack_from(f"<{count + 1}I", clx, place + 5)
    descriptions = place + 5 + 4 * (count + 1)
    total = 0
    for number in range(count):
        length = ends[number + 1] - ends[number]
        start = struct.unpack_from("<I", clx, descriptions + 8 * number + 2)[0]
        wide = not start & EIGHT_BITS
        begin, size = (start, 2 * length) if wide else ((start & ~EIGHT_BITS) // 2, length)
        content = main[begin : begin + max(size, 0)]
        total += len(content)
        if total > len(main):  # pieces that overlap
            raise DocumentUnreadable("too_large")
        yield content, wide


def _without_fields(text: str) -> str:
    """The text with the results of fields, without what computes them, such as `HYPERLINK "…"`."""
    shown: list[str] = []
    computing: list[bool] = []  # of each open field, whether its result is still to come
    start = 0
    for place, char in enumerate(text):
        if char not in (FIELD, FIELD_RESULT, FIELD_END):
            continue
        if not any(computing):
            shown.append(text[start:place])
        start = place + 1
        if char == FIELD:
            computing.append(True)
        elif computing:
            computing.pop()
            computing += [False] if char == FIELD_RESULT else []
    return "".join(shown) + ("" if any(computing) else text[start:])
