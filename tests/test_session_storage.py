"""The working memory and the lock of a session, on a real Valkey."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from utils.errors import StoreUnavailable, TurnInProgress
from utils.event_streams import EventStreams, Outgoing
from utils.session_storage import MEMORY_TURNS, Lease, SessionStorage

KEY = "local/会话"
TURN = {"seq": 2, "messages": [{"role": "user", "content": "你好"}]}


@contextlib.asynccontextmanager
async def worker(url: str, wait: float = 5) -> AsyncIterator[SessionStorage]:
    """A web worker's storage that shows that it lives."""
    storage = SessionStorage(url, ttl=3600, lock_ttl=300, wait=wait)
    await storage.redis.set(f"worker:{storage.worker_id}", 1, px=60_000)
    yield storage
    await storage.close()


async def commit(storage: SessionStorage, lease: Lease, turn: dict[str, Any], **options: Any) -> bool:
    """Commits a turn with one event."""
    streams = EventStreams(storage.redis, storage.worker_id, 3600)
    outgoing = Outgoing(lease.key, lease.message_id or "msg_1")
    streams.publish(outgoing, b"{}", ends=True)
    return await storage.commit(lease, turn, streams.pending(outgoing), **options)


def run(test: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))  # type: ignore[arg-type]


def test_a_committed_turn_is_there_for_the_next(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as one, worker(redis_url) as other:
            lease = await one.begin(KEY)
            assert lease.turns == [] and lease.seq == 0
            assert await commit(one, lease, TURN)
            lease = await other.begin(KEY)
            assert lease.turns == [TURN] and lease.seq == 2

    run(test)


def test_a_second_turn_waits_for_the_first(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as one, worker(redis_url) as other:
            lease = await one.begin(KEY)
            waiting = asyncio.create_task(other.begin(KEY))
            await asyncio.wait([waiting], timeout=0.2)
            assert not waiting.done()
            await commit(one, lease, TURN)
            assert (await waiting).turns == [TURN]

    run(test)


def test_waiting_ends_with_turn_in_progress(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as one, worker(redis_url, wait=0.05) as other:
            await one.begin(KEY)
            with pytest.raises(TurnInProgress):
                await other.begin(KEY)

    run(test)


def test_the_lock_of_a_worker_that_has_just_started_is_not_free(redis_url: str) -> None:
    async def test() -> None:
        started = SessionStorage(redis_url, ttl=3600, lock_ttl=300, wait=0)  # its heart has not beaten yet
        async with worker(redis_url, wait=0) as other:
            await started.begin(KEY)
            with pytest.raises(TurnInProgress):
                await other.begin(KEY)
        await started.close()

    run(test)


def test_the_lock_of_a_dead_worker_is_free(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as one, worker(redis_url, wait=0) as other:
            await one.begin(KEY)
            await one.redis.delete(f"worker:{one.worker_id}")
            assert (await other.begin(KEY)).turns == []

    run(test)


def test_a_turn_that_lost_its_lock_cannot_write(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as one, worker(redis_url) as other:
            lost = await one.begin(KEY)
            await one.redis.delete(f"lock:{KEY}")
            held = await other.begin(KEY)
            assert not await commit(one, lost, {"seq": 2, "messages": ["stale"]})
            await one.release(lost)
            with pytest.raises(TurnInProgress):
                one.wait = 0
                await one.begin(KEY)
            assert await commit(other, held, TURN)
            assert (await one.begin(KEY)).turns == [TURN]

    run(test)


def test_every_key_expires_and_a_turn_renews_it(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as storage:
            await commit(storage, await storage.begin(KEY), TURN, system_prompt="你是间谍")
            for key in (f"memory:{KEY}", f"prompt:{KEY}"):
                assert 3590 < await storage.redis.ttl(key) <= 3600
                await storage.redis.expire(key, 10)
            lease = await storage.begin(KEY)
            assert 0 < await storage.redis.ttl(f"lock:{KEY}") <= 3600
            assert lease.system_prompt == "你是间谍"
            await commit(storage, lease, TURN, system_prompt="你是间谍")
            assert await storage.redis.ttl(f"prompt:{KEY}") > 3590 and await storage.redis.ttl(f"memory:{KEY}") > 3590

    run(test)


def test_a_rebuilt_memory_replaces_the_old_one(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as storage:
            await commit(storage, await storage.begin(KEY), {"seq": 99, "messages": []})
            await commit(storage, await storage.begin(KEY), {**TURN, "seq": 4}, rebuilt=[TURN])
            assert [turn["seq"] for turn in (await storage.begin(KEY)).turns] == [2, 4]

    run(test)


def test_the_memory_keeps_the_newest_turns(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as storage:
            for seq in range(2, 2 * MEMORY_TURNS + 8, 2):
                await commit(storage, await storage.begin(KEY), {"seq": seq, "messages": []})
            turns = (await storage.begin(KEY)).turns
            assert len(turns) == MEMORY_TURNS and turns[-1]["seq"] == 2 * MEMORY_TURNS + 6

    run(test)


def test_names_that_look_alike_are_different_sessions(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as storage:
            await commit(storage, await storage.begin("a/b:memory"), TURN)
            assert (await storage.begin("a/b")).turns == [] and (await storage.begin("a:b/memory")).turns == []

    run(test)


def test_a_stop_reaches_the_worker_that_holds_the_lock(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as one, worker(redis_url) as other:
            heard: asyncio.Queue[str] = asyncio.Queue()
            serving = asyncio.create_task(one.serve(heard.put_nowait))
            assert not await other.request_stop(KEY)
            lease = await one.begin(KEY)
            while not await other.request_stop(KEY):  # until `one` has subscribed
                await asyncio.sleep(0)
            assert await heard.get() == lease.token
            serving.cancel()

    run(test)


@contextlib.asynccontextmanager
async def deaf_to_locks(url: str) -> AsyncIterator[str]:
    """The URL of a way to Redis on which a connection breaks off when a script has run, before its answer comes."""
    address = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(address.hostname, address.port)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                back.write(data)
                answer = await there.read(65_536)
                if b"EVALSHA" in data:
                    break
                writer.write(answer)
        back.close()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}{address.path}"


def test_a_lock_that_was_taken_although_redis_seemed_away_is_freed(redis_url: str) -> None:
    async def test() -> None:
        async with worker(redis_url) as other, deaf_to_locks(redis_url) as url:
            await other.release(await other.begin(KEY))  # Redis knows the scripts from now on
            storage = SessionStorage(url, ttl=3600, lock_ttl=300, wait=0)
            with pytest.raises(StoreUnavailable):
                await storage.begin(KEY)
            assert await other.redis.exists(f"lock:{KEY}")
            serving = asyncio.create_task(storage.serve(lambda token: None))
            assert (await other.begin(KEY)).turns == []
            serving.cancel()
            await storage.close()

    run(test)


def test_a_redis_that_is_away_is_store_unavailable() -> None:
    async def test() -> None:
        storage = SessionStorage("redis://127.0.0.1:1/0", ttl=60, lock_ttl=60, wait=1)
        with pytest.raises(StoreUnavailable):
            await storage.begin(KEY)
        assert await storage.cached("x") is None
        await storage.cache("x", b"", 5)

    run(test)
