"""Where the events of a turn go, and what should go on in a worker."""

import asyncio
import logging

import pytest
from redis.asyncio import Redis

from models.event_json import decode
from models.events import Chunk
from models.turns import SessionKey, Turn
from services.outlet import Outlet
from services.turn_log import TurnLog
from utils.background import Background
from utils.event_streams import EventStreams


def outlet(streams: EventStreams, session: str) -> Outlet:
    turn = Turn(key=SessionKey("local", session), message="你好")
    return Outlet(TurnLog(turn.message_ids[1]), turn, streams)


def test_an_event_that_json_cannot_hold_fails_only_its_own_turn(redis_url: str) -> None:
    asyncio.run(_emit_to_two(redis_url))


async def _emit_to_two(redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    streams = EventStreams(redis, "worker", 60)
    writing = asyncio.create_task(streams.serve())
    broken, whole = outlet(streams, "坏"), outlet(streams, "好")
    broken.emit(Chunk("此前"))
    with pytest.raises(TypeError):
        broken.emit(Chunk("\ud800"))
    whole.emit(Chunk("此后"), ends=True)
    assert whole.outgoing is not None and broken.outgoing is not None
    for one, said in ((broken.outgoing, "此前"), (whole.outgoing, "此后")):
        while one.waiting:
            await asyncio.wait({writing}, timeout=0.01)
            assert not writing.done()
        [(first, body)] = await streams.bodies(one.key, one.message_id)
        assert first == 0 and decode(body) == [Chunk(said)]
    writing.cancel()
    await redis.aclose()


def test_the_log_tells_when_what_should_go_on_ends(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()

    async def breaks() -> None:
        raise LookupError("断了")

    async def goes_on() -> None:
        await asyncio.Event().wait()

    with caplog.at_level(logging.CRITICAL):
        cancelled = background.serve(goes_on())
        cancelled.cancel()
        with pytest.raises(LookupError):
            background.serve(breaks()).result(5)
        background.close()
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["断了"]
