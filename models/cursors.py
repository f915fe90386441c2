"""Cursors of lists that come in pages: opaque texts that name the last thing of a page by its time and its id."""

import base64
import binascii
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, or_

from utils.errors import InvalidField

Id = TypeVar("Id", int, str)

_EPOCH, _TICK = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def encode(moment: datetime, id: int | str) -> str:
    key = id.to_bytes(8, signed=True) if isinstance(id, int) else id.encode()
    place = struct.pack(">q", (moment - _EPOCH) // _TICK) + key
    return base64.urlsafe_b64encode(place + zlib.crc32(place).to_bytes(4)).decode().rstrip("=")


def decode(cursor: str, kind: type[Id]) -> tuple[datetime, Id]:
    """The time and the id, which is of this kind. Raises InvalidField for what `encode` has not made of such a one."""
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[:-4]
        moment = _EPOCH + struct.unpack_from(">q", place)[0] * _TICK
        id = int.from_bytes(place[8:], signed=True) if kind is int else place[8:].decode()
        if encode(moment, id) == cursor and (kind is int or str(id).isprintable()):
            return moment, kind(id)
    except (binascii.Error, ValueError, struct.error, OverflowError):
        pass
    raise InvalidField.at("cursor", "is none that this server has given", "不是本服务给出的游标")


def after(moment: Column[Any], id: Column[Any], cursor: str, *, descending: bool = False) -> list[ColumnElement[bool]]:
    """What follows a cursor in the order of these two columns. Raises InvalidField."""
    last, last_id = decode(cursor, id.type.python_type)
    # the first condition alone is one that every database can look up in an index
    if descending:
        return [moment <= last, or_(moment < last, id < last_id)]
    return [moment >= last, or_(moment > last, id > last_id)]
