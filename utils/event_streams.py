"""The events of turns in Redis streams, from which any worker replays and follows them.

Keys, `{key}` being `owner/session`, each with the TTL of a session:

    events:{key}:{message}  stream: the events of one turn. An entry holds some of them: `f` the number of its first, `b` a
                            JSON array, `e` when the turn ends with it; its id is the number of its last event plus one. An
                            entry may begin with events that the one before it has, too
    turns:{key}             stream: the turns of a session as they began, `m` being the message id
    unseen:{key}            sorted set: turns that were started for a reader who has yet to come, by the time in seconds
    turns-of:{worker}       set: `{key} {message}` of each turn that a web worker runs
    wake:{worker}           stream that ends the worker's wait for entries when it is to follow one more stream

A worker writes what gathered meanwhile in one go, and reads all streams that its readers follow on one connection.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

UNSEEN_SECONDS = 60
PAUSE = 0.02  # time in which events gather for a write; where a write takes long, four times as long
BLOCK_MS = 2_000  # longest wait for entries; less than the timeout of a connection
ENTRIES = 200  # of one stream in one read
RETRY_SECONDS = 1.0

# KEYS from `k` on: events, turns, turns-of. ARGV from `a` on: number of the last event, number of the first, body, whether
# the turn ends with them, whether nothing of it was written before, its message id, its member of turns-of, ttl in seconds,
# time in milliseconds before which turns are forgotten
APPEND_LUA = """
local function append(k, a)
  local fields = {'f', ARGV[a + 1], 'b', ARGV[a + 2]}
  if ARGV[a + 3] == '1' then fields[5] = 'e'; fields[6] = '1' end
  local added = redis.pcall('XADD', KEYS[k], (tonumber(ARGV[a]) + 1) .. '-0', unpack(fields))
  if type(added) == 'table' and added.err then return end  -- it was written before, with more
  redis.call('EXPIRE', KEYS[k], ARGV[a + 7])
  if ARGV[a + 4] == '1' then  -- a turn renews what is kept of those before it
    redis.call('XADD', KEYS[k + 1], 'MINID', ARGV[a + 8], '*', 'm', ARGV[a + 5])
    redis.call('EXPIRE', KEYS[k + 1], ARGV[a + 7])
    local prefix = string.sub(KEYS[k], 1, -1 - #ARGV[a + 5])
    for _, turn in ipairs(redis.call('XRANGE', KEYS[k + 1], '-', '+')) do
      redis.call('EXPIRE', prefix .. turn[2][2], ARGV[a + 7])
    end
    redis.call('SADD', KEYS[k + 2], ARGV[a + 6])
  end
  if ARGV[a + 3] == '1' then redis.call('SREM', KEYS[k + 2], ARGV[a + 6]) end
end
"""
APPEND_KEYS, APPEND_ARGS = 3, 9
_WRITE = f"{APPEND_LUA} for i = 0, tonumber(ARGV[1]) - 1 do append(1 + {APPEND_KEYS} * i, 2 + {APPEND_ARGS} * i) end"

EntryId = tuple[int, int]
Fields = dict[bytes, bytes]
Entries = list[tuple[bytes, Fields]]
Sink = Callable[[EntryId, Fields], None]
BEGINNING: EntryId = (0, 0)


def events_key(key: str, message_id: str) -> str:
    return f"events:{key}:{message_id}"


def member(key: str, message_id: str) -> str:
    """How a turn is named in `turns-of:{worker}`."""
    return f"{key} {message_id}"


def _parse(entry_id: bytes) -> EntryId:
    first, _, second = entry_id.partition(b"-")
    return int(first), int(second)


@dataclass(eq=False, slots=True)
class Outgoing:
    """A turn whose events, as JSON, this worker writes.

    `waiting` are those that are not in Redis yet; `next` is the number of the next one.
    """

    key: str
    message_id: str
    waiting: list[bytes] = field(default_factory=list)
    next: int = 0
    ends: bool = False
    new: bool = True


@dataclass(eq=False, slots=True)
class Follower:
    """A reader of a stream, who has been given the entries up to `after`."""

    name: str
    after: EntryId
    sink: Sink


class EventStreams:
    """The streams as one web worker writes and reads them, on one event loop."""

    def __init__(self, redis: Redis, worker_id: str, ttl: int) -> None:
        self.redis, self.worker_id, self.ttl = redis, worker_id, ttl
        self._write = redis.register_script(_WRITE)
        self._dirty: dict[str, Outgoing] = {}
        self._something_to_write = asyncio.Event()
        self._followers: set[Follower] = set()
        self._somebody_follows = asyncio.Event()
        self._blocked = False

    def publish(self, turn: Outgoing, event: bytes, *, ends: bool = False) -> int:
        """Adds an event to a turn; its number."""
        turn.waiting.append(event)
        turn.next += 1
        turn.ends = ends
        self._dirty[turn.message_id] = turn
        self._something_to_write.set()
        return turn.next - 1

    def pending(self, turn: Outgoing) -> tuple[list[str], list[Any]]:
        """Keys and arguments for APPEND_LUA to write what waits of a turn."""
        oldest = round(time.time() * 1000) - self.ttl * 1000
        first = turn.next - len(turn.waiting)
        keys = [events_key(turn.key, turn.message_id), f"turns:{turn.key}", f"turns-of:{self.worker_id}"]
        args = [turn.next - 1, first, b"[%s]" % b",".join(turn.waiting), int(turn.ends), int(turn.new)]
        return keys, [*args, turn.message_id, member(turn.key, turn.message_id), self.ttl, oldest]

    def written(self, turn: Outgoing, count: int) -> None:
        """The first `count` events that waited are in Redis."""
        del turn.waiting[:count]
        turn.new = False
        if not turn.waiting:
            self._dirty.pop(turn.message_id, None)

    async def expect_reader(self, key: str, message_id: str) -> None:
        """Keeps a turn for a reader who comes within a minute."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.zadd(f"unseen:{key}", {message_id: time.time()})
            pipe.expire(f"unseen:{key}", min(UNSEEN_SECONDS, self.ttl))
            await pipe.execute()

    async def seen(self, key: str, message_id: str) -> None:
        """A reader has seen a turn to its end."""
        await self.redis.zrem(f"unseen:{key}", message_id)

    async def unseen(self, key: str) -> list[str]:
        """The turns that wait for their reader, oldest first."""
        oldest = time.time() - UNSEEN_SECONDS
        found = cast("list[bytes]", await self.redis.zrangebyscore(f"unseen:{key}", oldest, "inf"))
        return [message_id.decode() for message_id in found]

    async def last(self, key: str, message_id: str) -> tuple[int, bool] | None:
        """The number of the last event of a turn so far, and whether the turn ended with it; None when there is none."""
        found = cast(Entries, await self.redis.xrevrange(events_key(key, message_id), count=1))
        return (_parse(found[0][0])[0] - 1, b"e" in found[0][1]) if found else None

    async def newest_turn(self, key: str) -> tuple[EntryId, str | None]:
        """The newest turn of a session: its place in `turns:{key}` and its message id."""
        found = cast(Entries, await self.redis.xrevrange(f"turns:{key}", count=1))
        return (_parse(found[0][0]), found[0][1][b"m"].decode()) if found else (BEGINNING, None)

    async def bodies(self, key: str, message_id: str) -> list[tuple[int, bytes]]:
        """What is kept of a turn: the number of the first event, and the JSON array of them, for each entry."""
        found = cast(Entries, await self.redis.xrange(events_key(key, message_id)))
        return [(int(fields[b"f"]), fields[b"b"]) for _, fields in found]

    async def follow(self, name: str, after: EntryId, sink: Sink) -> Follower:
        """Calls `sink` with each entry of a stream after `after`, those to come included, until `unfollow`."""
        follower = Follower(name, after, sink)
        self._followers.add(follower)
        self._somebody_follows.set()
        try:
            await self._wake()
        except asyncio.CancelledError:  # nobody will know of it
            self.unfollow(follower)
            raise
        return follower

    async def _wake(self) -> None:
        if not self._blocked:
            return
        wake = f"wake:{self.worker_id}"
        with contextlib.suppress(RedisError, OSError):  # the wait ends by itself too
            await self.redis.xadd(wake, {"w": ""}, maxlen=1, approximate=False)
            await self.redis.expire(wake, self.ttl)

    def unfollow(self, follower: Follower) -> None:
        self._followers.discard(follower)
        if not self._followers:
            self._somebody_follows.clear()

    async def serve(self) -> None:
        """Writes and reads until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve_writing())
            tasks.create_task(self._serve_reading())

    async def _serve_writing(self) -> None:
        pause = PAUSE
        while True:
            await self._something_to_write.wait()
            await asyncio.sleep(pause)  # a short turn is over by then: its commit has written its events
            started = time.monotonic()
            try:
                await self.flush()
                pause = max(PAUSE, 4 * (time.monotonic() - started))
            except (RedisError, OSError) as error:
                log.warning("Events wait for Redis: %s", error)
                pause = RETRY_SECONDS

    async def flush(self) -> None:
        """Writes what waits."""
        turns = [(turn, len(turn.waiting)) for turn in self._dirty.values()]
        self._something_to_write.clear()
        if not turns:
            return
        keys, args = [], [len(turns)]
        for turn, _ in turns:
            its_keys, its_args = self.pending(turn)
            keys += its_keys
            args += its_args
        try:
            await self._write(keys=keys, args=args)
        except (RedisError, OSError):
            self._something_to_write.set()
            raise
        for turn, count in turns:
            self.written(turn, min(count, len(turn.waiting)))

    async def close(self) -> None:
        """Writes the last events, if Redis is there."""
        with contextlib.suppress(RedisError, OSError):
            await self.flush()

    async def _serve_reading(self) -> None:
        wake, woken = f"wake:{self.worker_id}", BEGINNING
        while True:
            await self._somebody_follows.wait()
            positions = {wake: woken}
            asking = list(self._followers)  # who joins while the answer is on its way may need what comes before it
            for follower in asking:
                positions[follower.name] = min(follower.after, positions.get(follower.name, follower.after))
            names = {name: f"{after[0]}-{after[1]}" for name, after in positions.items()}
            self._blocked = True
            try:
                found = await self.redis.xread(cast("dict[Any, Any]", names), count=ENTRIES, block=BLOCK_MS)
            except (RedisError, OSError) as error:
                log.warning("Readers wait for Redis: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            finally:
                self._blocked = False
            streams = _streams(found)
            woken = max([woken, *(entry_id for entry_id, _ in streams.get(wake, ()))])
            self._hand_out(streams, asking)

    def _hand_out(self, streams: dict[str, list[tuple[EntryId, Fields]]], followers: list[Follower]) -> None:
        for follower in followers:
            for entry_id, fields in streams.get(follower.name, ()):
                if entry_id > follower.after and follower in self._followers:
                    follower.after = entry_id
                    follower.sink(entry_id, fields)


def _streams(found: Any) -> dict[str, list[tuple[EntryId, Fields]]]:
    return {name.decode(): [(_parse(entry_id), fields) for entry_id, fields in entries] for name, entries in found}
