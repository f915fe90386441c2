"""Readers of turns that run elsewhere, or ran before: any worker replays and follows them from the session's streams."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from functools import partial

from models.event_json import decode
from models.events import Ended, Event, Failed
from models.turns import SessionKey
from services.turn_log import TurnLog
from utils.background import Background
from utils.errors import RateLimited, StoreUnavailable
from utils.event_streams import EntryId, EventStreams, Fields, Follower, events_key
from utils.session_storage import SessionStorage, translated

WAIT_SECONDS = 60  # how long a reader waits for a turn to begin; then it is to come back
BEGIN_SECONDS = 1  # how long it may take until what a turn began with can be read
Place = tuple[str, int, int]  # a turn, the number of its last event that was seen, and that after which it is read
LAST_EVENT_ID = re.compile(r"(msg_[0-9a-f]{1,64}):(\d{1,9})")


class TurnWatch:
    """The readers of one web worker. Its methods block and are called from views' threads."""

    def __init__(self, storage: SessionStorage, streams: EventStreams, background: Background, most_readers: int) -> None:
        self.storage, self.streams, self.background = storage, streams, background
        self.most_readers = most_readers
        self.readers: set[Reader] = set()
        self.draining = False

    def watch(self, key: SessionKey, last_event_id: str | None = None) -> TurnLog:
        """The events after `last_event_id`, else those of the running turn from its start, else of the next one.

        A turn that waits for its reader comes first. Raises RateLimited when the owner has too many readers.
        """
        return self._start(key, last_event_id, wait=True)

    def running(self, key: SessionKey, last_event_id: str | None = None) -> TurnLog | None:
        """The events after `last_event_id`, else those of the running turn from its start; None when there are none."""
        log = self._start(key, last_event_id, wait=False)
        return log if log.message_id else None

    def send_away(self) -> None:
        """Sends those away who wait for a turn, now and from now on: they come back to another process."""
        self.background.loop.call_soon_threadsafe(self._send_away)

    def _send_away(self) -> None:
        self.draining = True
        for reader in list(self.readers):
            if reader.waits:
                reader.give_up()

    def end(self) -> None:
        """Sends all away, on the event loop: nothing is read any more."""
        for reader in list(self.readers):
            reader.give_up()

    def _start(self, key: SessionKey, last_event_id: str | None, *, wait: bool) -> TurnLog:
        reader = Reader(self, key)
        with translated():  # a Redis that does not answer is as one that is away
            self.background.run(reader.begin(last_event_id, wait=wait), timeout=10)
        return reader.log


class Reader:
    """One reader of one session, on the event loop."""

    def __init__(self, watch: TurnWatch, key: SessionKey) -> None:
        self.watch, self.storage, self.streams = watch, watch.storage, watch.streams
        self.key, self.loop = key, watch.background.loop
        self.log = TurnLog("", partial(self.loop.call_soon_threadsafe, self.close))
        self.seen = -1  # number of the last event that was passed on
        self._following: Follower | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, last_event_id: str | None, *, wait: bool) -> None:
        """Finds out what is to be read, and starts. Without `wait`, only a running turn is."""
        if sum(reader.key.owner == self.key.owner for reader in self.watch.readers) >= self.watch.most_readers:
            raise RateLimited(retry_after=5)
        self.watch.readers.add(self)
        try:
            with translated():
                await self._begin(last_event_id, wait=wait)
        except BaseException:
            self.close()
            raise

    async def _begin(self, last_event_id: str | None, *, wait: bool) -> None:
        key = str(self.key)
        place, newest = await self.streams.newest_turn(key)
        turn = (
            await self._resumed(key, last_event_id)
            or (wait and await self._unseen(key, last_event_id))
            or await self._unfinished(key, await self.storage.running(key))  # others may be refused while one runs
            or await self._unfinished(key, newest)
            or (not wait and await self._beginning(key))
        )
        if turn:
            await self._read(*turn)
        elif wait:
            self._wait()
            self._following = await self.streams.follow(f"turns:{key}", place, self._next_turn)
        else:
            self.close()

    async def _unseen(self, key: str, last_event_id: str | None) -> Place | None:
        """The first turn that waits for its reader, if this one has not seen it: of those without events, the last."""
        known = (last_event_id or "").partition(":")[0]
        turns = [turn for turn in await self.streams.unseen(key) if turn != known]
        for turn in turns:
            if await self.streams.last(key, turn) is not None:
                return turn, -1, -1
        return (turns[-1], -1, -1) if turns else None

    async def _unfinished(self, key: str, message_id: str | None) -> Place | None:
        last = await self.streams.last(key, message_id) if message_id else None
        return (message_id, -1, -1) if message_id and last is not None and not last[1] else None

    async def _beginning(self, key: str) -> Place | None:
        """The turn that holds the session's lock: it takes a moment until something of it is in the streams."""
        async for _ in self._moments(key):
            if (turn := await self._unfinished(key, await self.storage.running(key))) is not None:
                return turn
        return None

    async def _resumed(self, key: str, last_event_id: str | None) -> Place | None:
        """The turn that a reader knows in part."""
        given = LAST_EVENT_ID.fullmatch(last_event_id or "")
        if given is None:
            return None
        turn, seen = given[1], int(given[2])
        last = await self.streams.last(key, turn)
        if last is None:  # what the reader has seen may be newer than what is in the streams
            async for _ in self._moments(key):
                if (last := await self.streams.last(key, turn)) is not None:
                    break
        if last is None or (last[1] and last[0] <= seen):
            return None
        return turn, seen, min(last[0], seen)

    async def _moments(self, key: str) -> AsyncIterator[None]:
        """Some while, as long as a turn of the session runs."""
        deadline = self.loop.time() + BEGIN_SECONDS
        while self.loop.time() < deadline and await self.storage.running(key):
            await asyncio.sleep(0.01)
            yield

    async def _read(self, message_id: str, seen: int, after: int) -> None:
        self.log.message_id, self.seen = message_id, seen
        if seen < 0 and not self.waits:
            self._wait()
        name = events_key(str(self.key), message_id)
        self._following = await self.streams.follow(name, (after + 1, 0), self._pass_on)

    def _next_turn(self, _entry: EntryId, fields: Fields) -> None:
        self._stop_following()
        self._do(self._read(fields[b"m"].decode(), -1, -1))

    def _pass_on(self, _entry: EntryId, fields: Fields) -> None:
        self._wait_no_more()
        for number, event in enumerate(decode(fields[b"b"]), int(fields[b"f"])):
            if isinstance(event, Ended | Failed):
                self._stop_following()
                self._do(self._end(number, event))
                return
            if number > self.seen:
                self.seen = number
                self.log.put(number, event)

    async def _end(self, number: int, event: Event) -> None:
        # first, since a client that has seen the end may come at once for the next turn
        with contextlib.suppress(StoreUnavailable), translated():
            await self.streams.seen(str(self.key), self.log.message_id)
        self.log.put(number, event)

    def _do(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wait(self) -> None:
        self._patience = self.loop.call_later(0 if self.watch.draining else WAIT_SECONDS, self.give_up)

    @property
    def waits(self) -> bool:
        """For a turn to begin."""
        return self._patience is not None

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def give_up(self) -> None:
        """Asks the reader to come back later."""
        self._wait_no_more()
        self._stop_following()
        self.log.close()

    def _stop_following(self) -> None:
        if self._following is not None:
            self.streams.unfollow(self._following)
            self._following = None

    def close(self) -> None:
        """Nobody reads any more."""
        self._stop_following()
        self._wait_no_more()
        self.watch.readers.discard(self)
