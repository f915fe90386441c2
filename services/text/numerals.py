"""The values of numerals as they number pages and chapters: 12, xii, 十二."""

from itertools import pairwise

CHINESE = "〇零一二三四五六七八九十百"
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def value_of(numeral: str) -> int:
    """The value of an Arabic, Roman or Chinese numeral below a thousand; of what is none of these, something."""
    if numeral.isdecimal():
        return int(numeral)
    if numeral[0].lower() in _ROMAN:
        values = [_ROMAN.get(letter, 0) for letter in numeral.lower()]
        return sum(-one if one < after else one for one, after in pairwise([*values, 0]))
    total, digit = 0, 0
    for character in numeral:
        if character in "十百":
            total += max(digit, 1) * (10 if character == "十" else 100)
            digit = 0
        else:
            digit = max("〇一二三四五六七八九".find(character), 0)
    return total + digit
