"""How a local model runs: one answer after the other, left at once, faults told, nothing loaded too early."""

import asyncio
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage

from fixtures.local_models import CONVERSATIONS, COUNT, LEAVE, WHY, answer, local_chat
from models.local_chat import LocalChat
from models.local_model import LocalModel, Prompt
from utils.errors import ChatError, UpstreamBusy, UpstreamError, UpstreamTimeout
from utils.settings import ROOT

torch = pytest.importorskip("torch", reason=WHY)
pytest.importorskip("transformers", reason=WHY)


def test_answers_come_one_after_the_other_and_are_not_mixed_up(learned: Path) -> None:
    asked = [LEAVE, "Count", "年假：十天。"] * 3

    async def all_at_once() -> list[str]:
        return [message.text for message in await asyncio.gather(*(local_chat(learned).ainvoke(text) for text in asked))]

    assert asyncio.run(all_at_once()) == [CONVERSATIONS[text] for text in asked]


class Talk:
    """A running answer: `begun` when it has said something, `task` to cancel."""

    def __init__(self, chat: LocalChat) -> None:
        self.begun = asyncio.Event()
        self.task = asyncio.ensure_future(self._read(chat))

    async def _read(self, chat: LocalChat) -> None:
        async for chunk in chat.astream("说"):
            if chunk.text:
                self.begun.set()

    async def end(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def test_who_waits_too_long_for_others_is_told_that_it_is_busy(endless: Path) -> None:
    async def second() -> None:
        talk = Talk(local_chat(endless))
        await talk.begun.wait()
        with pytest.raises(UpstreamBusy):
            await local_chat(endless, read_timeout=0.2).ainvoke("问")
        await talk.end()

    asyncio.run(second())


def test_cancelled_tasks_make_room_for_the_next_whether_they_talk_or_wait(endless: Path) -> None:
    async def cancelled() -> AIMessage:
        talk = Talk(local_chat(endless))
        await talk.begun.wait()
        waiting = [Talk(local_chat(endless)) for _ in range(3)]
        await asyncio.sleep(0)  # they stand in the queue now
        for each in (talk, *waiting):
            await each.end()
        return await local_chat(endless, max_tokens=3).ainvoke("问")  # an answer before it would take minutes

    assert asyncio.run(cancelled()).response_metadata["finish_reason"] == "length"


def test_a_reader_who_leaves_ends_the_generation(endless: Path) -> None:
    async def left() -> AIMessage:
        stream = local_chat(endless).astream("说")
        await anext(stream)
        await stream.aclose()
        return await local_chat(endless, max_tokens=3).ainvoke("问")

    assert asyncio.run(left()).response_metadata["finish_reason"] == "length"


class Leaving(threading.Event):
    """Is set when it has been asked so many times."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.asked = itertools.count(1)
        self.after = after

    def is_set(self) -> bool:
        return next(self.asked) >= self.after


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 9])
def test_what_is_left_ends_before_the_next_layer(endless: Path, layers: int) -> None:
    """Each token goes through three gates: that of the model and those of its two layers."""
    sent: list[list[AIMessageChunk]] = []
    leave = Leaving(after=layers)
    LocalModel(endless, 1).start(Prompt([{"role": "user", "content": "说"}], temperature=0), sent.append, leave).result(60)
    assert len(sent) == 1 + (layers - 1) // 3, "its start, and each token that was ready before"


def test_a_token_that_takes_too_long_is_a_timeout(endless: Path) -> None:
    chat = local_chat(endless, read_timeout=0.1)
    answer(local_chat(endless), max_tokens=1)  # loads it
    with pytest.raises(UpstreamTimeout):
        answer(chat, "长" * 20_000)


def broken(endless: Path, folder: Path, change: Callable[[Path], None]) -> Path:
    folder.mkdir()
    for file in endless.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change(folder)
    return folder


BROKEN = {
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "damaged weights": lambda folder: (folder / "model.safetensors").write_bytes(b"\x10" * 100),
    "no tokenizer": lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
    "no template": lambda folder: (folder / "chat_template.jinja").unlink(),
    "a wrong template": lambda folder: (folder / "chat_template.jinja").write_text("{{ raise_exception('no') }}"),
    "an unknown kind": lambda folder: (folder / "config.json").write_text('{"model_type": "neuron"}'),
    "code of its own": lambda folder: (folder / "config.json").write_text(
        json.dumps({"model_type": "neuron", "auto_map": {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}})
    ),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_folder_that_is_no_whole_model_is_an_upstream_error(endless: Path, tmp_path: Path, change) -> None:
    folder = broken(endless, tmp_path / "broken", change)
    (folder / "evil.py").write_text("raise SystemExit('code of the model was run')")
    with pytest.raises(ChatError) as caught:
        answer(local_chat(folder))
    assert type(caught.value) is UpstreamError
    assert str(tmp_path) not in caught.value.message("zh")


@pytest.fixture
def read() -> Iterator[list[int]]:
    """How many tokens models have read, each time that they read some."""
    counts: list[int] = []

    def count(module: object, inputs: tuple) -> None:
        if isinstance(module, torch.nn.Embedding):
            counts.append(inputs[0].numel())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(count)
    yield counts
    handle.remove()


def test_a_second_question_reads_only_what_is_new(endless: Path, read: list[int]) -> None:
    def asked(chat: LocalChat, question: str) -> AIMessageChunk:
        read.clear()
        return answer(chat, [SystemMessage("你是助手。" * 50), HumanMessage(question)], max_tokens=20)

    warm, cold = (LocalChat(local=LocalModel(endless, 1), temperature=0) for _ in range(2))
    usage = asked(warm, "第一问").usage_metadata
    assert read == [usage["input_tokens"]] + [1] * 19 and "input_token_details" not in usage
    second = asked(warm, "第二问")
    usage = second.usage_metadata
    assert read == [usage["input_tokens"] - usage["input_token_details"]["cache_read"]] + [1] * 19 and read[0] < 30
    assert second.text == asked(cold, "第二问").text


PROCESS = """
import os, sys
from pathlib import Path
calls = []
sys.addaudithook(lambda event, args: event in ("socket.connect", "socket.getaddrinfo") and calls.append((event, args)))
import app
from models.llm_factory import chat_model
from utils.registry import modules_of
from utils.settings import Settings
for package in ("services.tools", "services.protocols", "models.providers", "utils.loaders"):
    modules_of(package)
def heavy():
    return sorted({"torch", "transformers"} & sys.modules.keys())
chat_model(Settings(_env_file=None))
print(heavy())
model = chat_model(Settings(_env_file=None, LOCAL_MODEL_PATH=Path(sys.argv[1]), LOCAL_MODEL_THREADS=2), temperature=0)
print(heavy())
print(model.invoke("Count").text)
print(heavy(), calls)
import ctypes
(library,) = {line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}
print(ctypes.CDLL(library).omp_get_thread_limit() > 1, os.environ["OMP_THREAD_LIMIT"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at what is loaded by way of /proc")
def test_it_is_loaded_when_it_is_used_calls_nobody_and_may_use_more_cores_than_the_rest(learned: Path) -> None:
    env = {"PATH": "", "OMP_THREAD_LIMIT": "1"}
    command = [sys.executable, "-c", PROCESS, str(learned)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "[]", COUNT, "['torch', 'transformers'] []", "True 1"]
