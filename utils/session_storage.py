"""The working memory of sessions in Redis, and the lock that keeps two turns of a session apart.

Keys, each with a TTL of at most `MEMORY_TTL_SECONDS`, `{key}` being `owner/session`:

    memory:{key}   list: one JSON object for each turn, oldest first, with `seq`, the place of its last message in SQL
    prompt:{key}   the system prompt of a temporary session, which SQL must not hold
    lock:{key}     `worker:name` of what has the session: of a turn, its message id
    worker:{id}    alive while that web worker is; `workers` is the set of all, without a TTL

The streams of events beside them are told in `utils.event_streams`. A turn is one element, so a trimmed memory never parts
a tool call from its result. A lock whose worker has died is free at once. The token fences: a turn that lost its lock cannot
write.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import orjson
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from utils.errors import StoreUnavailable, TurnInProgress
from utils.event_streams import APPEND_ARGS, APPEND_LUA, events_key, member

log = logging.getLogger(__name__)

MEMORY_TURNS = 100  # most turns that a memory holds; the model's window usually ends before
CONNECTIONS = 50
HEARTBEAT_SECONDS = 2
WORKER_TTL_MS = 6_000

_BEGIN = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then  -- it is ours when the answer to a first attempt got lost
  local worker = string.match(holder, '^[^:]+')
  if redis.call('EXISTS', 'worker:' .. worker) == 1 then return {0} end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
if ARGV[3] ~= '' then redis.call('SADD', KEYS[4], ARGV[3]) end
return {1, redis.call('LRANGE', KEYS[2], 0, -1), redis.call('GET', KEYS[3])}
"""

# KEYS: lock, memory, prompt, and those of APPEND_LUA. ARGV: token, ttl, whether the memory is replaced, most turns, system
# prompt, those of APPEND_LUA, then the turns
_COMMIT = f"""
{APPEND_LUA}
append(4, 6)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[3] == '1' then redis.call('DEL', KEYS[2]) end
for i = {6 + APPEND_ARGS}, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[4]), -1)
redis.call('EXPIRE', KEYS[2], ARGV[2])
if ARGV[5] ~= '' then redis.call('SET', KEYS[3], ARGV[5]) end
redis.call('EXPIRE', KEYS[3], ARGV[2])
return 1
"""

_RELEASE = """
redis.call('SREM', KEYS[2], ARGV[2])
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

# KEYS: those that are deleted, `turns:{key}` last. ARGV: how the names of its streams of events begin
_FORGET = """
local turns = KEYS[#KEYS]
for _, entry in ipairs(redis.call('XRANGE', turns, '-', '+')) do redis.call('DEL', ARGV[1] .. entry[2][2]) end
return redis.call('DEL', unpack(KEYS))
"""

# KEYS: workers. Takes a dead worker's turns for the caller, who has ten seconds to see to them
_DEAD = """
local found = {}
for _, worker in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  if redis.call('EXISTS', 'worker:' .. worker) == 0 then
    local turns = redis.call('SMEMBERS', 'turns-of:' .. worker)
    if #turns == 0 then redis.call('SREM', KEYS[1], worker)
    elseif redis.call('SET', 'burial:' .. worker, 1, 'NX', 'EX', 10) then
      for _, turn in ipairs(turns) do found[#found + 1] = worker; found[#found + 1] = turn end
    end
  end
end
return found
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A session's lock, held, with the memory as it was then: its turns, and `seq`, where the last one ends (0: none)."""

    key: str
    token: str
    turns: list[dict[str, Any]]
    system_prompt: str
    message_id: str = ""

    @property
    def seq(self) -> int:
        return int(self.turns[-1]["seq"]) if self.turns else 0


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Redis' exceptions become StoreUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(store="redis") from error


class SessionStorage:
    """Redis for the turns of one web worker. Its coroutines run on one event loop."""

    def __init__(self, url: str, *, ttl: int, lock_ttl: int, wait: float) -> None:
        self.ttl, self.lock_ttl, self.wait = ttl, min(lock_ttl, ttl), wait
        self.worker_id = secrets.token_hex(8)
        # a burst of turns waits for a connection instead of opening one each
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=5,
            socket_timeout=5,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 1),
        )
        self.redis = Redis.from_pool(pool)
        self._begin = self.redis.register_script(_BEGIN)
        self._commit = self.redis.register_script(_COMMIT)
        self._release = self.redis.register_script(_RELEASE)
        self._forget = self.redis.register_script(_FORGET)
        self._dead = self.redis.register_script(_DEAD)
        self._unreleased: set[tuple[str, str, str]] = set()  # key, token, member of turns-of
        self._announced = False

    async def begin(self, key: str, message_id: str = "") -> Lease:
        """Takes the session's lock, for a turn if `message_id` names its answer, and reads the memory.

        Waits for a running turn; raises TurnInProgress after `wait`.
        """
        token = f"{self.worker_id}:{message_id or secrets.token_hex(8)}"
        names = (f"lock:{key}", f"memory:{key}", f"prompt:{key}", self._own_turns)
        its_member = member(key, message_id) if message_id else ""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self.wait, 0.005
        while True:
            try:
                with translated():
                    if not self._announced:  # or the lock of a worker that has just started would count as a dead one's
                        await self._announce()
                    reply = await self._begin(keys=names, args=(token, self.lock_ttl, its_member))
            except StoreUnavailable:  # a Redis that comes back may take the lock for us all the same
                self._unreleased.add((key, token, its_member))
                raise
            if reply[0]:
                turns = [orjson.loads(turn) for turn in reply[1]]
                return Lease(key, token, turns, (reply[2] or b"").decode(), message_id)
            if loop.time() >= deadline:
                raise TurnInProgress()
            await asyncio.sleep(min(pause * random.uniform(0.5, 1), deadline - loop.time()))  # noqa: S311
            pause = min(pause * 1.5, 0.2)

    async def commit(
        self,
        lease: Lease,
        turn: dict[str, Any],
        events: tuple[list[str], list[Any]],
        *,
        rebuilt: list[dict[str, Any]] | None = None,
        system_prompt: str = "",
    ) -> bool:
        """Appends a turn, renews the TTL and frees the lock, at once; False when the lock was lost meanwhile.

        `events` is what EventStreams.pending says; `rebuilt` takes the place of the turns that the memory held before.
        """
        turns = [orjson.dumps(one) for one in (*(rebuilt or ()), turn)]
        replace = "1" if rebuilt is not None else "0"
        names = (f"lock:{lease.key}", f"memory:{lease.key}", f"prompt:{lease.key}", *events[0])
        args: tuple[Any, ...] = (lease.token, self.ttl, replace, MEMORY_TURNS, system_prompt, *events[1], *turns)
        with translated():
            return bool(await self._commit(keys=names, args=args))

    async def release(self, lease: Lease) -> None:
        """Frees the lock and leaves the memory as it is; again later when Redis is away."""
        self._unreleased.add((lease.key, lease.token, member(lease.key, lease.message_id)))
        with contextlib.suppress(StoreUnavailable):
            await self._release_all()

    async def _release_all(self) -> None:
        for key, token, its_member in list(self._unreleased):
            with translated():
                await self._release(keys=(f"lock:{key}", self._own_turns), args=(token, its_member))
            self._unreleased.discard((key, token, its_member))

    @property
    def _own_turns(self) -> str:
        return f"turns-of:{self.worker_id}"

    async def memory(self, key: str) -> list[dict[str, Any]]:
        """The turns that a session's memory holds."""
        with translated():
            return [orjson.loads(turn) for turn in await self.redis.lrange(f"memory:{key}", 0, -1)]

    async def forget(self, key: str, *, keep_prompt: bool = False) -> None:
        """Deletes what Redis holds of a session, but for the lock; `keep_prompt` leaves a temporary one's system prompt."""
        names = [f"memory:{key}", f"unseen:{key}", *(() if keep_prompt else (f"prompt:{key}",)), f"turns:{key}"]
        with translated():
            await self._forget(keys=names, args=(events_key(key, ""),))

    async def dead_turns(self) -> list[tuple[str, str, str]]:
        """The turns of workers that died, as worker, session key and message id. Whoever gets them sees to them."""
        with translated():
            found = await self._dead(keys=("workers",))
        pairs = zip(found[::2], found[1::2], strict=True)
        return [(worker.decode(), *turn.decode().split(" ")) for worker, turn in pairs]

    async def buried(self, worker: str, key: str, message_id: str) -> None:
        """A dead worker's turn has been seen to."""
        with translated():
            await self.redis.srem(f"turns-of:{worker}", member(key, message_id))

    async def request_stop(self, key: str) -> bool:
        """Asks the worker that runs a turn of the session to stop it; False when none runs."""
        with translated():
            token = await self._holder(key)
            return bool(token and await self.redis.publish(f"control:{token.partition(':')[0]}", token))

    async def running(self, key: str) -> str | None:
        """The message id of the turn that has the session's lock, of which its stream may not know yet."""
        with translated():
            return (await self._holder(key)).partition(":")[2] or None

    async def _holder(self, key: str) -> str:
        """The token of the lock; empty when it is free."""
        return cast(bytes, await self.redis.get(f"lock:{key}") or b"").decode()

    async def cached(self, name: str) -> bytes | None:
        """A value that `cache` kept; None when there is none, or Redis is away."""
        try:
            return cast("bytes | None", await self.redis.get(f"cache:{name}"))
        except (RedisError, OSError):
            return None

    async def cache(self, name: str, value: bytes, seconds: int) -> None:
        """Keeps a value for a while; a loss does no harm."""
        with contextlib.suppress(RedisError, OSError):
            await self.redis.set(f"cache:{name}", value, ex=seconds)

    async def ping(self) -> None:
        """Raises StoreUnavailable when Redis does not answer."""
        with translated():
            await self.redis.ping()

    async def serve(self, on_stop: Callable[[str], None]) -> None:
        """Shows that this worker lives, and passes on the tokens of turns to stop, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._listen(on_stop))

    async def _announce(self) -> None:
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.set(f"worker:{self.worker_id}", 1, px=WORKER_TTL_MS)
            pipe.sadd("workers", self.worker_id)
            await pipe.execute()
        self._announced = True

    async def _beat(self) -> None:
        while True:
            try:
                await self._announce()
                await self._release_all()
            except (RedisError, OSError, StoreUnavailable) as error:
                log.warning("Redis is away: %s", error)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _listen(self, on_stop: Callable[[str], None]) -> None:
        while True:
            try:
                async with self.redis.pubsub() as channel:
                    async for token in self._tokens(channel):
                        on_stop(token)
            except (RedisError, OSError):
                await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _tokens(self, channel: PubSub) -> AsyncIterator[str]:
        await channel.subscribe(f"control:{self.worker_id}")
        while True:
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
            if message is not None:
                yield message["data"].decode()

    async def close(self) -> None:
        """Says goodbye, so that the locks of this worker are free at once."""
        with contextlib.suppress(RedisError, OSError):
            await self.redis.delete(f"worker:{self.worker_id}")  # what it leaves unfinished is another's from now on
        await self.redis.aclose()
