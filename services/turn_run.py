"""One turn from question to answer: the session's lock and memory, the stored question, the engine, the stored answer."""

import logging
from dataclasses import asdict
from typing import Any

from models import turn_records
from models.conversations import title_of
from models.events import Answer, Chunk, Reasoning
from models.turn_records import OpenedTurn
from models.turns import Branch, MessageStatus, Turn
from services import titles
from services.answer_cache import AnswerCache
from services.generation import Generation, Workshop
from services.history import from_stored, grouped, user_message
from services.outlet import Outlet
from utils.errors import NotFound, StoreUnavailable
from utils.metrics import TURNS
from utils.session_storage import MEMORY_TURNS, Lease

log = logging.getLogger(__name__)

MODEL_CHARS = 200


class TurnRun:
    """A turn of a session."""

    def __init__(self, workshop: Workshop, turn: Turn, outlet: Outlet) -> None:
        self.shop, self.turn, self.outlet = workshop, turn, outlet
        self.settings = workshop.settings
        self.answer_id = turn.message_ids[1]

    async def run(self) -> None:
        """Raises ChatError when the turn cannot begin, or its answer cannot be stored."""
        generation = Generation(self.shop, self.turn, self.outlet.emit)
        lease = await self.shop.storage.begin(str(self.turn.key), self.answer_id)
        self.shop.running[lease.token] = None
        committed = False
        try:
            opened = await self._open()
            question = user_message(opened.question, opened.attachments)
            rebuilt = await self._memory(lease, opened)
            if opened.conversation.temporary and self.turn.branch is not None:
                rebuilt, asked = _before(lease.turns, self.turn.branch, self.turn.client_id)
                question = asked or question
            turns = lease.turns if rebuilt is None else rebuilt
            generation.prepare(self._own_prompt(lease, opened), turns, question, opened.searched)
            status, error = await generation.run(lease.token)
            answer, said = await generation.answer(), generation.state.transcript()
            if not opened.conversation.temporary:
                await self._store(status, said, answer)
            ending = self.outlet.ending(answer, error)
            committed = await self._commit(lease, opened, rebuilt, [question, *said], answer)
        finally:
            del self.shop.running[lease.token]
            self.shop.stopping.discard(lease.token)
            if not committed:
                await self.shop.storage.release(lease)
        TURNS.labels(status).inc()
        self.outlet.show(ending)
        if status == "complete":
            self._improve_title(opened, answer)

    def _improve_title(self, opened: OpenedTurn, answer: Answer) -> None:
        conversation, question = opened.conversation, opened.question
        if conversation.title or conversation.temporary:
            return
        automatic = title_of(question)
        shop = self.shop
        shop.do_later(titles.improve(shop.settings, shop.write, conversation.id, automatic, question, answer.response))

    async def _open(self) -> OpenedTurn:
        opened = await self.shop.write(turn_records.open_turn, self.turn, self.settings.MEMORY_TTL_SECONDS)
        self.outlet.start()
        return opened

    async def _memory(self, lease: Lease, opened: OpenedTurn) -> list[dict[str, Any]] | None:
        """The memory as SQL has it, where the one in Redis is lost, out of date or of another branch; else None."""
        if lease.seq == opened.previous_seq and not opened.branched:
            return None
        stored = await self.shop.in_thread(turn_records.history, self.shop.database, opened, self.answer_id, MEMORY_TURNS)
        return from_stored(stored, opened.previous_seq)

    def _own_prompt(self, lease: Lease, opened: OpenedTurn) -> str:
        if self.turn.system_prompt is not None:
            return self.turn.system_prompt
        return lease.system_prompt if opened.conversation.temporary else opened.conversation.system_prompt

    async def _store(self, status: MessageStatus, said: list[dict[str, Any]], answer: Answer) -> None:
        values = {
            "content": answer.response,
            "steps": said if len(said) > 1 else [],
            "reasoning": answer.reasoning,
            "sources": [asdict(source) for source in answer.sources],
            "tool_calls": [asdict(call) for call in answer.tool_calls],
            "model": answer.model[:MODEL_CHARS],  # the upstream chose it
            "finish_reason": answer.finish_reason if status in ("complete", "stopped") else "",
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
        }
        await self.shop.write(turn_records.close_turn, self.answer_id, status, values)

    async def _commit(
        self,
        lease: Lease,
        opened: OpenedTurn,
        rebuilt: list[dict[str, Any]] | None,
        messages: list[dict[str, Any]],
        answer: Answer,
    ) -> bool:
        """Writes the memory and the last events, and frees the lock; False when the lock may still be held."""
        turn: dict[str, Any] = {
            "seq": opened.seq,
            "ids": [*self.turn.message_ids, self.turn.client_id],
            "messages": messages,
        }
        prompt = ""
        if opened.conversation.temporary:  # whose history is the memory
            prompt = self._own_prompt(lease, opened)
            turn["sources"] = [asdict(source) for source in answer.sources]
        outgoing, streams = self.outlet.outgoing, self.shop.streams
        assert outgoing is not None  # noqa: S101 (a turn of a session has one)
        count = len(outgoing.waiting)
        try:
            events = streams.pending(outgoing)
            kept = await self.shop.storage.commit(lease, turn, events, rebuilt=rebuilt, system_prompt=prompt)
        except StoreUnavailable:  # SQL has the turn: the next one rebuilds the memory from there
            log.warning("The memory of %s could not be written", lease.key)
            return False
        streams.written(outgoing, count)
        if not kept:
            log.warning("The lock of %s was lost during its turn", lease.key)
        return True


class StatelessRun:
    """A turn whose request brings its history: nothing is stored, and nobody can come back to it."""

    def __init__(self, workshop: Workshop, turn: Turn, outlet: Outlet) -> None:
        self.shop, self.turn, self.outlet = workshop, turn, outlet

    async def run(self) -> None:
        """Raises ChatError when the turn cannot begin. It is in `Workshop.running` already."""
        turn, shop = self.turn, self.shop
        generation = Generation(shop, turn, self.outlet.emit)
        token = turn.message_ids[1]
        cache = AnswerCache(shop.settings, shop.storage, turn)
        self.outlet.start()
        if (found := await cache.find()) is not None:
            self._repeat(found)
            return
        question = user_message(turn.message, turn.attachments)
        generation.prepare(turn.system_prompt or "", grouped(turn.history or ()), question)
        status, error = await generation.run(token)
        TURNS.labels(status).inc()
        answer = await generation.answer()
        if status == "complete":
            await cache.keep(answer)
        self.outlet.show(self.outlet.ending(answer, error))

    def _repeat(self, answer: Answer) -> None:
        TURNS.labels("cached").inc()
        if answer.reasoning:
            self.outlet.emit(Reasoning(answer.reasoning))
        self.outlet.emit(Chunk(answer.response))
        self.outlet.show(self.outlet.ending(answer, None))


def _before(
    turns: list[dict[str, Any]], branch: Branch, client_id: str
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """What a temporary session keeps when it goes on from an earlier message, as there are no branches to go back to.

    With it comes the question that is to be answered again, if one is. Raises NotFound, but for a question that its client
    has named: that is a new one, whose first attempt never got here.
    """
    names = {branch.message_id, client_id} - {None, ""}
    if branch.kind == "after" and branch.message_id is None:
        return [], None
    named = (place for place, turn in enumerate(turns) if not names or names & {*turn["ids"]})
    place = max(named, default=None)
    if place is None:
        if client_id:
            return turns, None
        raise NotFound(what="message")
    asked = turns[place]["messages"][0] if branch.kind == "again" else None
    return turns[: place + (branch.kind == "after")], asked
