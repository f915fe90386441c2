"""Documents of Word 97 and Excel 97, byte by byte: nothing that is installed writes them."""

import struct
from collections.abc import Mapping, Sequence

SECTOR = 512
END, FREE, FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
SMALLEST = 4096  # a shorter stream would have to go into a stream of short sectors


def ole(streams: Mapping[str, bytes]) -> bytes:
    """An OLE file with these streams under its root."""
    padded = {name: content.ljust(SMALLEST, b"\0") for name, content in streams.items()}
    entries = [_entry("Root Entry", 5, END, 0, child=1 if streams else FREE)]
    chain = [FAT]  # what follows each sector; the first one holds this very table
    body = b""
    for number, (name, content) in enumerate(padded.items(), 1):
        right = number + 1 if number < len(padded) else FREE
        entries.append(_entry(name, 2, len(chain), len(content), right=right))
        count = -(-len(content) // SECTOR)
        chain += [*range(len(chain) + 1, len(chain) + count), END]
        body += content.ljust(count * SECTOR, b"\0")
    directory = b"".join(entries)
    first = len(chain)
    count = -(-len(directory) // SECTOR)
    chain += [*range(first + 1, first + count), END]
    body += directory.ljust(count * SECTOR, b"\0")
    table = struct.pack(f"<{len(chain)}I", *chain).ljust(SECTOR, b"\xff")
    assert len(table) == SECTOR, "one sector of the table is all that there is"
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<9I", 0, 1, first, 0, SMALLEST, END, 0, END, 0) + struct.pack("<109I", 0, *[FREE] * 108)
    return head + table + body


def _entry(name: str, kind: int, start: int, size: int, *, right: int = FREE, child: int = FREE) -> bytes:
    text = name.encode("utf-16-le")
    entry = text.ljust(64, b"\0") + struct.pack("<HBB3I", len(text) + 2, kind, 1, FREE, right, child)
    return entry + bytes(36) + struct.pack("<IQ", start, size)


def doc(text: str, *, encrypted: bool = False) -> bytes:
    """A document of Word 97 whose text is one piece in UTF-16."""
    head = bytearray(1024)
    struct.pack_into("<HH6xH", head, 0, 0xA5EC, 0x00C1, 0x0200 | (0x0100 if encrypted else 0))
    pieces = struct.pack("<2I", 0, len(text)) + struct.pack("<HIH", 0, len(head), 0)
    clx = b"\x02" + struct.pack("<I", len(pieces)) + pieces
    struct.pack_into("<2I", head, 0x01A2, 0, len(clx))
    return ole({"WordDocument": bytes(head) + text.encode("utf-16-le"), "1Table": clx})


def xls(name: str, rows: Sequence[Sequence[str | float]]) -> bytes:
    """A workbook of Excel 97 with one sheet."""
    start = _record(0x0809, struct.pack("<4H2I", 0x0600, 0x0005, 0, 0, 0, 6))
    sheet = _record(0x0809, struct.pack("<4H2I", 0x0600, 0x0010, 0, 0, 0, 6))
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            place = struct.pack("<3H", y, x, 0)
            if isinstance(value, str):
                sheet += _record(0x0204, place + struct.pack("<HB", len(value), 1) + value.encode("utf-16-le"))
            else:
                sheet += _record(0x0203, place + struct.pack("<d", value))
    label = struct.pack("<HBB", 0, len(name), 1) + name.encode("utf-16-le")
    offset = len(start) + len(_record(0x0085, bytes(4) + label)) + len(_record(0x000A, b""))
    book = start + _record(0x0085, struct.pack("<I", offset) + label) + _record(0x000A, b"")
    return ole({"Workbook": book + sheet + _record(0x000A, b"")})


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("<2H", kind, len(content)) + content
