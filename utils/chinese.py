"""Traditional Chinese as Simplified, for rules that are written once."""

from functools import cache
from importlib import resources


def simplified(text: str) -> str:
    """The text with each Traditional character as the Simplified one: as long as before, so that places stay the same."""
    return text.translate(_table())


@cache
def _table() -> dict[int, str]:
    """OpenCC's table of single characters."""
    lines = (resources.files("opencc") / "dictionary" / "TSCharacters.txt").read_text("utf-8").splitlines()
    return {ord(line[0]): line.split()[1] for line in lines if line}
