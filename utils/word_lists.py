"""The numbers before paragraphs of Word documents, which Word counts and does not store: `3.2`, `第五条`, `(b)`."""

import re
from typing import Any, NamedTuple

from utils.errors import DocumentUnreadable

HAN_DIGITS = "〇一二三四五六七八九"
ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
    *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
BULLET = "-"
MOST = 100_000  # a larger number is no number of a list
LEVELS = 9


class Level(NamedTuple):
    """A level of a list: the first number, how numbers look, the text with `%1` to `%9`, the style it belongs to.

    A `legal` level shows the numbers of all levels in digits.
    """

    start: int
    kind: str
    text: str
    style: str
    legal: bool = False


class Lists:
    """Counts the paragraphs of the lists that `numbering` (the root of a numbering part, or None) defines."""

    def __init__(self, numbering: Any) -> None:
        self._levels: dict[str, list[Level]] = {}
        self._list_of: dict[str, str] = {}
        self._restarts: dict[str, dict[int, int]] = {}
        self._counts: dict[str, list[int]] = {}
        if numbering is not None:
            for item in numbering.iter("{*}abstractNum"):
                self._levels[_value(item, "abstractNumId")] = _levels(item)
            for item in numbering.iter("{*}num"):
                self._add_instance(item)

    def _add_instance(self, item: Any) -> None:
        number = _value(item, "numId")
        self._list_of[number] = next((_value(child) for child in item.iter("{*}abstractNumId")), "")
        self._restarts[number] = {
            _number(_value(override, "ilvl")): _number(_value(start))
            for override in item.iter("{*}lvlOverride")
            for start in override.iter("{*}startOverride")
        }

    def level_of_style(self, number: str, style: str) -> int:
        """The level to which a list binds a style; 0 where it binds none."""
        levels = self._levels.get(self._list_of.get(number, ""), [])
        return next((place for place, level in enumerate(levels) if level.style == style), 0)

    def label(self, number: str, place: int) -> str:
        """What Word draws before the next paragraph of list `number` on the level `place`, from 0 on; empty for nothing."""
        name = self._list_of.get(number, "")
        levels = self._levels.get(name, [])
        if not 0 <= place < len(levels):
            return ""
        counts = self._counts.setdefault(name, [level.start - 1 for level in levels])
        for restarted, start in self._restarts.pop(number, {}).items():
            if restarted < len(counts):
                counts[restarted] = start - 1
        counts[place] += 1
        counts[place + 1 :] = [level.start - 1 for level in levels[place + 1 :]]
        if levels[place].kind == "bullet":
            return BULLET
        kinds = ["decimal" if levels[place].legal else level.kind for level in levels]
        shown = [spell(max(count, level.start), kind) for count, level, kind in zip(counts, levels, kinds, strict=True)]
        return re.sub("%([1-9])", lambda found: shown[int(found[1]) - 1], levels[place].text)


def spell(number: int, kind: str) -> str:
    """A number in a numbering format of Word, such as lowerRoman or chineseCounting; in digits where it is unknown."""
    if not 0 < number < MOST:
        return str(number)
    if kind in ("lowerLetter", "upperLetter"):
        text = chr(97 + (number - 1) % 26) * ((number - 1) // 26 + 1)
    elif kind in ("lowerRoman", "upperRoman"):
        text = _roman(number)
    elif "hineseCounting" in kind or "japaneseCounting" in kind or "taiwaneseCounting" in kind:
        text = _han(number)
    elif kind == "decimalEnclosedCircle" and number <= 20:
        text = chr(0x2460 + number - 1)
    elif kind == "decimalZero":
        text = f"{number:02}"
    else:
        text = "" if kind == "none" else str(number)
    return text.upper() if kind.startswith("upper") else text


def _roman(number: int) -> str:
    text = ""
    for value, letters in ROMAN:
        count, number = divmod(number, value)
        text += letters * count
    return text


def _han(number: int) -> str:
    text = ""
    for place, digit in enumerate(reversed(str(number))):
        if digit != "0":
            text = HAN_DIGITS[int(digit)] + ("", "十", "百", "千", "万")[place] + text
        elif text and not text.startswith("〇"):
            text = "〇" + text
    return text.replace("〇", "零").removeprefix("一" if 10 <= number < 20 else "\0")


def _levels(item: Any) -> list[Level]:
    found = {}
    for level in item.iter("{*}lvl"):
        parts = {str(child.tag).rpartition("}")[2]: _value(child) for child in level}
        found[_number(_value(level, "ilvl"))] = Level(
            _number(parts.get("start", "1")),
            parts.get("numFmt", "decimal"),
            parts.get("lvlText", ""),
            parts.get("pStyle", ""),
            parts.get("isLgl", "0") in ("", "1", "true", "on"),
        )
    return [found.get(place, Level(1, "none", "", "")) for place in range(LEVELS)]


def _value(item: Any, name: str = "val") -> str:
    return next((str(value) for key, value in item.attrib.items() if key.endswith(f"}}{name}")), "")


def _number(text: str) -> int:
    try:
        return int(text or 0)
    except ValueError as error:
        raise DocumentUnreadable("damaged") from error
