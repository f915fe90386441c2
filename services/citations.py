"""Which passages an answer rests on."""

from collections.abc import Sequence

from models.events import Source
from models.passages import Passage
from models.prompts import MARKER

UNCITED = 5  # passages that are named when an answer cites none


def sources_of(text: str, passages: Sequence[Passage]) -> tuple[Source, ...]:
    """The passages whose markers `[n]` stand in the text, in that order; when none does, the first ones, not cited."""
    numbers = dict.fromkeys(int(number) for number in MARKER.findall(text))
    cited = [passages[number - 1] for number in numbers if 0 < number <= len(passages)]
    unique = dict.fromkeys(cited or passages[:UNCITED])
    return tuple(
        Source(passage.document_id, passage.filename, passage.page, passage.quote, passage.score, bool(cited))
        for passage in unique
    )
