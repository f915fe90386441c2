"""Bytes of unknown encoding made into characters: UTF-8, then what the file declares, then a guess."""

import codecs
import re
import unicodedata

import chardet
from chardet.enums import EncodingEra

SAMPLE = 200_000  # bytes; more does not make a guess better
UNSURE = 0.15  # below it the guess is an exotic encoding more often than a right one
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,30})""", re.IGNORECASE)
# What files call the one is, in practice, the other: the larger set, which holds what people really write.
LARGER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
}
CHINESE = ("gb18030", "big5hkscs")
ASIAN = {*CHINESE, "cp932", "euc_jp", "cp949", "iso2022_jp", "iso2022_kr", "hz"}
# The commoner half of the characters of GB 2312 and of Big5, and their punctuation.
COMMON = {
    "gb18030": re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xa3][\xa1-\xfe]|[\xb0-\xd7][\xa1-\xfe])*"),
    "big5hkscs": re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xa3][\x40-\x7e\xa1-\xfe]|[\xa4-\xc6][\x40-\x7e\xa1-\xfe])*"),
}
CONTROL = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
HANGUL = re.compile("[\x00-\x7f\u3000-\u303f\uac00-\ud7a3\uff00-\uffef]*")


def decode(data: bytes, declared: str = "") -> str:
    """The characters of a text, `declared` being the encoding its envelope names. Bytes that fit nowhere become U+FFFD."""
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), None) or _encoding(data, declared)
    return data.decode(encoding, "replace")


def is_text(head: bytes) -> bool:
    """Whether the beginning of a file is text, in whatever encoding."""
    if head.startswith(tuple(MARKS)):
        return True
    if b"\0" not in head:
        return len(CONTROL.findall(head)) * 100 <= len(head)
    encoding = _codec(chardet.detect(head)["encoding"] or "")
    if not encoding.startswith(("utf-16", "utf-32")):
        return False
    text = head.decode(encoding, "replace")
    return sum(unicodedata.category(c) in ("Cc", "Cn", "Co") and c not in "\t\n\r\f" for c in text) * 100 <= len(text)


def _encoding(data: bytes, declared: str) -> str:
    seven_bit_kind = b"\0" in data or b"\x1b" in data or b"~{" in data  # UTF-16, ISO 2022, HZ: all of them valid UTF-8
    if not seven_bit_kind and _is_utf8(data):
        return "utf-8"
    inside = DECLARED.search(data[:2048])
    for label in (declared, inside[1].decode("ascii", "ignore") if inside else ""):
        name = _codec(label)
        if name and not name.startswith("utf") and _fits(data, name):
            return name
    return guess_encoding(data)


def _is_utf8(data: bytes) -> bool:
    """UTF-8, be it cut within a character or with a few bytes broken."""
    wrong = data.decode("utf-8", "replace").count("\N{REPLACEMENT CHARACTER}")
    return not wrong or wrong * 20 < len(data.translate(None, bytes(range(128))))


def guess_encoding(data: bytes) -> str:
    """Python's name of the encoding that a text, which is not in Unicode, is most probably in."""
    telling = re.search(rb"[\x80-\xff]", data)
    start = max(0, telling.start() - 1_000) // 4 * 4 if telling else 0  # a multiple of a character of UTF-16 or UTF-32
    sample = data[start : start + SAMPLE]
    found = chardet.detect(sample)
    if found["confidence"] < UNSURE:  # a few words: prefer what is met every day
        found = chardet.detect(sample, encoding_era=EncodingEra.MODERN_WEB)
    name = _codec(found["encoding"] or "") or "cp1252"  # none where the sample is no text at all
    return name if found["confidence"] >= UNSURE else _likelier(sample, name)


def _likelier(data: bytes, guess: str) -> str:
    """Of a few words: Chinese where its characters are all common ones and no other reading is plausible."""
    if guess in ASIAN and (guess != "cp949" or HANGUL.fullmatch(data.decode(guess, "replace"))):
        return guess
    for name, common in COMMON.items():
        if common.fullmatch(data):
            return name
    letters = sum(chr(byte).isalpha() for byte in data)
    if sum(byte >= 0xC0 for byte in data) * 3 < letters and _fits(data, "cp1252"):  # a few accents among plain letters
        return "cp1252"
    return guess


def _codec(name: str) -> str:
    """Python's name of an encoding, its larger set where there is one; empty for an unknown encoding."""
    try:
        python_name = codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""
    if python_name == "punycode":  # no text is written in it, and decoding it takes quadratic time
        return ""
    return LARGER.get(python_name, python_name)


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeError:
        return False
    return True
