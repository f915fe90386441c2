"""Characters made tidy: what the loaders find in files becomes text that can be read, searched and quoted."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
SURROGATES = re.compile("[\ud800-\udfff]")
# Fonts name these shapes instead of the characters they stand for: a search for 用户 has to find ⽤⼾.
RADICALS = dict(
    zip(
        "⼾⺎⺟⺠⺫⻁⻄⻅⻆⻉⻋⻓⻔⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰⻳",
        "户兀母民目虎西见角贝车长门青韦页风飞食马骨鬼鱼鸟卤麦黄齐齿龙龟",
        strict=True,
    )
)
COMPATIBLE = {
    chr(code): unicodedata.normalize("NFKC", chr(code)) for code in (*range(0x2F00, 0x2FD6), *range(0xFB00, 0xFB07))
}
SHAPES = str.maketrans(COMPATIBLE | RADICALS)

CJK = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WIDE = re.compile(f"[{CJK}\u3000-\u3002\uac00-\ud7af\uff01-\uff60\u2018\u2019\u201c\u201d\u2014\u2026]")
SPACED = re.compile(f"(?<=[{CJK}]) (?=[{CJK}])")
TOUCHING = re.compile(f"(?<=[{CJK}])(?=[{CJK}])")
CELL_GAP = re.compile(f"(?<=[{CJK}0-9])[ \t]+(?=[{CJK}0-9])|[ \t]{{2,}}|\t")
OPEN_END = re.compile(f"[{CJK}0-9A-Za-z，、；：,%％“‘（《〈「『—”’）》〉」』)]$")
GOES_ON = re.compile(f"[{CJK}0-9A-Za-z，、；：。！？“‘（《〈「『”’）》〉」』…%％(]")
NEW_ITEM = re.compile(
    r"第[一二三四五六七八九十百零〇\d]+[章节節条條部篇款项項编編]|[一二三四五六七八九十]+[、.．]|[（(][一二三四五六七八九十\d]+[)）]"
    r"|\d+([.．]\d+)*[.、．)）\s]|[①-⑳•●○■□◆◇▪·※*–-]|附[件录錄表]|[A-Za-z][.)]"
    r"|[^\s，。；：、:]{1,10}[：:]"  # the label of a field in a form
)
FULL_LINE = 24  # columns; a shorter line is a title or a cell, not the middle of a sentence


def clean(text: str) -> str:
    """Normal form C, `\\n` for every newline, no control characters, at most two blank lines in a row."""
    text = INVISIBLE.sub("", NEWLINES.sub("\n", text))
    text = SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{4,}", "\n\n\n", text).strip("\n")


def reflow(text: str) -> str:
    """A page as it was printed, with Chinese and Japanese sentences made whole again.

    A full line that ends within a sentence is joined with the next one, spaces between all characters of a line are taken
    out, and shapes of characters are replaced by the characters. Rows of tables, titles, lists and paragraphs stay lines.
    """
    lines = [_close_up(line) for line in text.translate(SHAPES).split("\n")]
    widths = [_columns(line) for line in lines]
    whole: list[str] = []
    for number, line in enumerate(lines):
        around = widths[max(0, number - 3) : number + 2]
        if number and _broken(lines[number - 1], line, widths[number - 1], max(around)):
            whole[-1] += line
        else:
            whole.append(line)
    return "\n".join(whole)


def _close_up(line: str) -> str:
    line = line.rstrip()
    spaces = len(SPACED.findall(line))
    return SPACED.sub("", line) if spaces >= 3 and spaces > 2 * len(TOUCHING.findall(line)) else line


def _columns(line: str) -> int:
    return len(line) + len(WIDE.findall(line))


def _broken(line: str, following: str, columns: int, widest: int) -> bool:
    """Whether `following` continues the sentence of `line`, which is `columns` wide on a page `widest` wide there."""
    return (
        columns >= FULL_LINE
        and columns * 5 >= widest * 4
        and bool(OPEN_END.search(line) and GOES_ON.match(following))
        and bool(WIDE.match(line[-1]) or WIDE.match(following))
        and not NEW_ITEM.match(following)
        and len(CELL_GAP.findall(line)) < 2
        and "|" not in line
    )


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows as a Markdown table, the first one as its head; empty rows, and empty cells at the end of a row, are left out."""
    lines: list[str] = []
    head, columns = 0, 0
    for row in rows:
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            head = head or len(cells)
            columns = max(columns, len(cells))
            lines.append("| " + " | ".join(cells) + " |")
    if not lines:
        return ""
    return "\n".join([lines[0] + "  |" * (columns - head), "|" + " --- |" * columns, *lines[1:]])
