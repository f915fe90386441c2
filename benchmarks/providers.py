"""CPU of one turn of 50 tokens: our chat model beside the stock ChatOpenAI, in the same run, against a scripted upstream.

    python benchmarks/providers.py [--turns 300] [--repeats 5]

Each figure is CPU milliseconds of this process for a turn, the upstream being another process: the median of the repeats.
Loads: `instant`, all tokens at once, turns one after another; `paced`, 20 ms between tokens, all turns at once. Ways, each
with one tool bound: `astream`, the model alone; `agent`, create_agent that streams messages; `engine`, create_agent with a
middleware that calls the model itself, hands each piece on and sums the chunks, as the turn engine does.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.openai_chat import OpenAIChat
from models.providers import ModelOptions
from utils import http_client

ROOT = Path(__file__).resolve().parent.parent
QUESTION: list[BaseMessage] = [HumanMessage("年假有几天？ How many days of leave are there?")]
TOKENS = 50


@tool
async def search_documents(query: str) -> str:
    """Searches the documents of this conversation."""
    return query


def upstream(interval: float) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, str(ROOT / "tests/fakes/upstream.py"), "--port", "0", "--tokens", str(TOKENS)]
    process = subprocess.Popen([*command, "--interval", str(interval)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def models(url: str) -> dict[str, BaseChatModel]:
    key = SecretStr("sk-benchmark")
    stock = ChatOpenAI(model="scripted", base_url=url, api_key=key, stream_usage=True, use_responses_api=False)
    return {"ours": OpenAIChat.of("scripted", url, key, ModelOptions()), "stock": stock}


class Streaming(AgentMiddleware):
    """Calls the model itself, and puts its pieces where the caller can take them."""

    def __init__(self, model: BaseChatModel) -> None:
        super().__init__()
        self.tools = [search_documents]
        self.model = model.bind_tools(self.tools)

    async def awrap_model_call(self, request: Any, handler: Any) -> AIMessage:
        whole: AIMessageChunk | None = None
        async for chunk in self.model.astream(request.messages):
            request.runtime.context["pieces"].append(chunk.text)
            whole = chunk if whole is None else whole + chunk
        assert whole is not None
        return AIMessage(whole.text, tool_calls=whole.tool_calls)


def turns_of(model: BaseChatModel) -> dict[str, Callable[[], Awaitable[str]]]:
    bound = model.bind_tools([search_documents])
    agent = create_agent(model, [search_documents])

    async def astream() -> str:
        return await _text(chunk.text async for chunk in bound.astream(QUESTION))

    async def through_agent() -> str:
        stream = agent.astream({"messages": QUESTION}, stream_mode="messages")
        return await _text(chunk.text async for chunk, _ in stream)

    engine = create_agent(model, middleware=[Streaming(model)], context_schema=dict)

    async def through_middleware() -> str:
        pieces: list[str] = []
        await engine.ainvoke({"messages": QUESTION}, context={"pieces": pieces})
        return "".join(pieces)

    return {"astream": astream, "agent": through_agent, "engine": through_middleware}


async def _text(pieces: AsyncIterator[Any]) -> str:
    return "".join([piece async for piece in pieces])


async def cost(turn: Callable[[], Awaitable[str]], turns: int, at_once: int) -> float:
    """CPU milliseconds of a turn, `at_once` of them side by side."""
    started = time.process_time()
    for _ in range(0, turns, at_once):
        answers = await asyncio.gather(*(turn() for _ in range(at_once)))
        assert all(len(answer) > TOKENS for answer in answers)
    return (time.process_time() - started) / turns * 1000


async def measure(turns: int, repeats: int) -> None:
    print(f"{'':8} {'':8} {'ours':>8} {'stock':>8}  ratio   (CPU ms a turn, medians of {repeats})")
    for load, interval, at_once in (("instant", 0.0, 1), ("paced", 0.02, turns)):
        process, url = upstream(interval)
        try:
            kinds = {name: turns_of(model) for name, model in models(url).items()}
            for mode in ("astream", "agent", "engine"):
                figures: dict[str, list[float]] = {name: [] for name in kinds}
                for repeat in range(-1, repeats):  # the first round warms up
                    for name, kind in kinds.items():
                        figure = await cost(kind[mode], turns, at_once)
                        if repeat >= 0:
                            figures[name].append(figure)
                ours, stock = (statistics.median(figures[name]) for name in ("ours", "stock"))
                print(f"{load:8} {mode:8} {ours:8.2f} {stock:8.2f}  {stock / ours:4.1f}x", flush=True)
        finally:
            process.terminate()
            process.wait()
    await http_client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(options.turns, options.repeats))
