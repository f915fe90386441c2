"""Sees to the turns of web workers that died: the answer is marked and keeps what there was of it, its readers are told."""

import asyncio
import logging

from models import turn_records
from models.event_json import decode, encode
from models.events import Chunk, Ended, Event, Failed, Reasoning
from services.generation import Workshop
from utils.errors import StoreUnavailable
from utils.event_streams import Outgoing
from utils.metrics import TURNS
from utils.session_storage import translated

log = logging.getLogger(__name__)

SECONDS = 2.0  # between two looks


async def serve(shop: Workshop) -> None:
    """Looks for such turns until it is cancelled."""
    while True:
        try:
            for worker, key, message_id in await shop.storage.dead_turns():
                log.warning("Worker %s died during the turn %s of %s", worker, message_id, key)
                await _bury(shop, key, message_id)
                await shop.storage.buried(worker, key, message_id)
        except StoreUnavailable as error:  # there is a next time
            log.warning("Interrupted turns wait: %s", error)
        await asyncio.sleep(SECONDS)


async def _bury(shop: Workshop, key: str, message_id: str) -> None:
    with translated():
        events = _events(await shop.streams.bodies(key, message_id))
    if events and isinstance(events[-1], Ended | Failed):
        return
    content = "".join(event.content for event in events if isinstance(event, Chunk))
    reasoning = "".join(event.content for event in events if isinstance(event, Reasoning))
    await shop.write(turn_records.interrupt, message_id, content, reasoning)
    turn = Outgoing(key, message_id, next=len(events), new=not events)
    shop.streams.publish(turn, encode(Failed(StoreUnavailable(store="worker"))), ends=True)
    TURNS.labels("interrupted").inc()


def _events(bodies: list[tuple[int, bytes]]) -> list[Event]:
    """The events of a turn; an entry may begin with what the one before it has."""
    events: list[Event] = []
    for first, body in bodies:
        events[first:] = decode(body)
    return events
