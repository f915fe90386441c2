"""Pages that a question names, Chinese (Simplified) and English."""

import re

_NUMBER = r"(\d{1,4}|[零〇一二两三四五六七八九十百]{1,6})"
_TO = r"\s*(?:到|至|[-–—~～、]|to|through|until|and|&|和)\s*"
_END = r"(?:最后一?页|末页|结尾|the\s+(?:last\s+page|end)|end)"
_DIGITS = {sign: value for value, signs in enumerate(("零〇", "一", "二两", *"三四五六七八九")) for sign in signs}
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_WORDS |= {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}

# each with the pages that it means: `a` and `b` are its numbers, 1 where it has none; below 0 they count from the end
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), first, last)
    for pattern, first, last in (
        (rf"第?\s*{_NUMBER}\s*页{_TO}{_END}|\bpages?\s*{_NUMBER}{_TO}{_END}\b", "a", "end"),
        (rf"第?\s*{_NUMBER}\s*页?{_TO}第?\s*{_NUMBER}\s*页", "a", "b"),
        (rf"\b(?:pages?|pp?\.)\s*(\d{{1,4}}){_TO}(?:page\s*)?(\d{{1,4}})\b", "a", "b"),
        (rf"倒数第\s*{_NUMBER}\s*页|\b(second|third)[\s-]+(?:to[\s-]+)?last\s+page\b", "-a", "-a"),
        (rf"(?:最后|末尾|最末)\s*{_NUMBER}\s*页|\b(?:last|final)\s+(\w+)\s+pages\b", "-a", "end"),
        (r"最后页|末页|尾页|\b(?:last|final)\s+page\b", "end", "end"),
        (rf"前\s*{_NUMBER}\s*页|\bfirst\s+(\w+)\s+pages\b", "1", "a"),
        (r"首页|第一页|\bfirst\s+page\b", "1", "1"),
        (
            rf"第\s*{_NUMBER}\s*页|\b(?:page|p\.)\s*(\d{{1,4}}|\w+)\b|\b(second|third|fourth|fifth)\s+page\b",
            "a",
            "a",
        ),
    )
)


def without_pages(text: str, mask: str) -> tuple[str, tuple[int, int] | None]:
    """The text with pages masked, and the first and the last of them; -1 is the last page of a document."""
    found: list[tuple[int, int]] = []
    for pattern, first, last in _PATTERNS:

        def take(match: re.Match[str], ends: tuple[str, str] = (first, last)) -> str:
            numbers = [_value(group) for group in match.groups() if group]
            if not all(numbers):
                return match[0]
            values = {"1": 1, "end": -1}
            if numbers:
                values |= {"a": numbers[0], "-a": -numbers[0], "b": numbers[-1]}
            found.append((values[ends[0]], values[ends[1]]))
            return mask * len(match[0])

        text = pattern.sub(take, text)
    numbers = [number for pair in found for number in pair]
    if not numbers:
        return text, None
    return text, (min(numbers, key=_place), max(numbers, key=_place))


def _place(number: int) -> tuple[bool, int]:
    """Where a page stands: those that count from the end come last."""
    return number < 0, number


def _value(number: str) -> int:
    """The value of a number in digits, or of a small one in words; 0 for what is none."""
    if number.isdecimal():
        return int(number)
    if number.lower() in _WORDS:
        return _WORDS[number.lower()]
    total, last = 0, 0
    for sign in number:
        if sign in "十百":
            total, last = total + (last or 1) * (10 if sign == "十" else 100), 0
        elif sign in _DIGITS:
            last = _DIGITS[sign]
        else:
            return 0
    return total + last
