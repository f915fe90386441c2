"""The styles of paragraphs of Word documents: which are headings, and which belong to lists."""

import re
from typing import Any, NamedTuple

from utils.archives import local_name

HEADING = re.compile(r"(?:heading|标题|標題) ?([1-9])|([一二三四五六七八九])[级級](?:标题|標題)", re.IGNORECASE)
DIGITS = "一二三四五六七八九"
TITLES = {"title": -2, "标题": -2, "標題": -2, "subtitle": -1, "副标题": -1, "副標題": -1}  # above the headings


def value(element: Any, name: str = "val") -> str:
    """An attribute, by its local name; empty where there is none."""
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def child(element: Any, *path: str) -> Any:
    """The element at the end of a path of local names; None where there is none."""
    for name in path:
        element = next((child for child in element if local_name(child) == name), None)
        if element is None:
            return None
    return element


class Style(NamedTuple):
    """What a style says of a paragraph: its level as a heading (0 is the highest but for `TITLES`), the number and the level
    of its list."""

    heading: int | None = None
    list_number: str = ""
    list_level: int | None = None

    @classmethod
    def of(cls, element: Any) -> "Style":
        """From a paragraph or from the definition of a style."""
        outline, number, level = (
            child(element, "pPr", *path) for path in (("outlineLvl",), ("numPr", "numId"), ("numPr", "ilvl"))
        )
        named = None if child(element, "name") is None else _level_of(value(child(element, "name")))
        level_set = outline is not None and value(outline).isdecimal()
        heading = int(value(outline)) if level_set and (named is None or named >= 0) else named
        return cls(heading, "" if number is None else value(number), None if level is None else int(value(level) or 0))

    def over(self, base: "Style") -> "Style":
        """This one where it says something, else `base`."""
        return Style(
            base.heading if self.heading is None else self.heading,
            self.list_number or base.list_number,
            base.list_level if self.list_level is None else self.list_level,
        )


def _level_of(name: str) -> int | None:
    """The level of the heading that a style of this name is for, as of `Style`."""
    if match := HEADING.fullmatch(name):
        return int(match[1]) - 1 if match[1] else DIGITS.index(match[2])
    return TITLES.get(name.lower())


def read_styles(root: Any) -> dict[str, Style]:
    """The styles of a part for styles, by their identifiers, with what they inherit; `root` is None where there is none."""
    defined = {} if root is None else {value(item, "styleId"): item for item in root if local_name(item) == "style"}
    styles = {}
    for name, item in defined.items():
        style, seen = Style(), set[str]()
        while item is not None and value(item, "styleId") not in seen:
            seen.add(value(item, "styleId"))
            style = style.over(Style.of(item))
            base = child(item, "basedOn")
            item = None if base is None else defined.get(value(base))
        styles[name] = style
    return styles
