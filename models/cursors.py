"""Cursors of lists that come in pages: opaque texts that name the last thing of a page by its time and its id."""

import base64
import binascii
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, or_

from utils.errors import InvalidField

_EPOCH, _TICK = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def encode(moment: datetime, id: str) -> str:
    place = struct.pack(">q", (moment - _EPOCH) // _TICK) + id.encode()
    return base64.urlsafe_b64encode(place + zlib.crc32(place).to_bytes(4)).decode().rstrip("=")


def decode(cursor: str) -> tuple[datetime, str]:
    """Raises InvalidField for what `encode` has not made."""
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[:-4]
        found = _EPOCH + struct.unpack_from(">q", place)[0] * _TICK, place[8:].decode()
        if encode(*found) == cursor:
            return found
    except (binascii.Error, ValueError, struct.error, OverflowError):
        pass
    raise InvalidField.at("cursor", "is none that this server has given", "不是本服务给出的游标")


def after(moment: Column[Any], id: Column[Any], cursor: str) -> list[ColumnElement[bool]]:
    """What follows a cursor in the ascending order of these two columns. Raises InvalidField."""
    last, last_id = decode(cursor)
    # the first condition alone is one that every database can look up in an index
    return [moment >= last, or_(moment > last, id > last_id)]
