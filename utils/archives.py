"""Zip files of documents, read without letting them grow beyond limits; and the XML in them, without entities."""

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import unquote

from lxml import etree

from utils.errors import DocumentUnreadable

MAX_MEMBERS = 20_000
MAX_BYTES = 500_000_000  # of all members, unpacked
MAX_MEMBER_BYTES = 100_000_000
MAX_XML_BYTES = 20_000_000  # of XML that becomes a tree, which takes up to forty times as much memory
MAX_RATIO = 100  # of a member larger than this many bytes:
MAX_TAGS = 4_000_000  # of one element that is read as a whole, two for each element in it
RATIO_COUNTS_FROM = 5_000_000


SAFE: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


class Archive:
    """A zip file. Names of members are compared without case, with `/` between folders and none before.

    Raises DocumentUnreadable where it is damaged, needs a password or is too large; `KeyError` for a missing member.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise DocumentUnreadable("damaged") from error
        members = self._file.infolist()
        if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > MAX_BYTES:
            raise DocumentUnreadable("too_large")
        self._members = {_key(member.filename): member for member in members}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._members

    def names(self) -> list[str]:
        """Names of all members, as they are compared."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """The content of a member; it never unpacks to more than its entry in the directory says."""
        try:
            return self._file.read(self._checked(name))
        except zipfile.BadZipFile as error:
            raise DocumentUnreadable("damaged") from error

    def xml(self, name: str) -> Any:
        """The root element of a member."""
        if self._checked(name).file_size > MAX_XML_BYTES:
            raise DocumentUnreadable("too_large")
        return parse_xml(self.read(name))

    def elements(self, name: str, *tags: str) -> Iterator[Any]:
        """The outermost elements of a member with these local names; each is gone when the next one is asked for."""
        wanted = [f"{{*}}{tag}" for tag in tags]
        options: dict[str, Any] = {"recover": True, "remove_comments": True, "remove_pis": True, **SAFE}
        inside = 0
        try:
            with self._file.open(self._checked(name)) as stream:
                meter = _Meter(stream)
                walk = etree.iterparse(meter, events=("start", "end"), tag=wanted, **options)
                for event, element in walk:
                    inside += 1 if event == "start" else -1
                    if event == "end" and not inside:
                        yield element
                        meter.tags = 0
                        element.clear()
                        while element.getprevious() is not None:
                            del element.getparent()[0]
                if walk.root is None:
                    raise DocumentUnreadable("damaged")
        except (etree.XMLSyntaxError, zipfile.BadZipFile) as error:
            raise DocumentUnreadable("damaged") from error

    def _checked(self, name: str) -> zipfile.ZipInfo:
        member = self._members[_key(name)]
        if member.flag_bits & 1:
            raise DocumentUnreadable("encrypted")
        swollen = member.file_size > RATIO_COUNTS_FROM and member.file_size > MAX_RATIO * member.compress_size
        if swollen or member.file_size > MAX_MEMBER_BYTES:
            raise DocumentUnreadable("too_large")
        return member

    def related(self, name: str) -> dict[str, tuple[str, str]]:
        """The parts that an OOXML part refers to, by id: the last word of the relationship's type, and the part's name."""
        folder, base = posixpath.split(_key(name))
        relations = posixpath.join(folder, "_rels", f"{base}.rels")
        found = {}
        for item in self.xml(relations) if relations in self else ():
            target = item.get("Target", "")
            if item.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, unquote(target)))
                found[item.get("Id", "")] = (item.get("Type", "").rpartition("/")[2], _key(target))
        return found


class _Meter:
    """A stream of XML that ends with an error when too much of it would be in memory at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.tags = 0

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.tags += content.count(b"<")
        if self.tags > MAX_TAGS:
            raise DocumentUnreadable("too_complex")
        return content


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def local_name(element: Any) -> str:
    """The name of an element without its namespace; empty for an entity, which is no element."""
    return "" if callable(element.tag) else str(element.tag).rpartition("}")[2]


def parse_xml(content: bytes) -> Any:
    """The root element of an XML text, however damaged; without entities. Raises DocumentUnreadable where there is none."""
    try:
        root = etree.fromstring(content, etree.XMLParser(recover=True, remove_comments=True, remove_pis=True, **SAFE))
    except etree.XMLSyntaxError:
        root = None
    if root is None:
        raise DocumentUnreadable("damaged")
    return root
