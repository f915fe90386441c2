"""A model in a folder, run by Hugging Face Transformers in this process. Torch is imported when it is first used.

Each model has one thread of its own, in which it is loaded and generates: one answer at a time, since each one takes all
cores; who comes meanwhile waits in the order of coming.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from models.chat_stream import OPEN
from models.local_answer import MARKS, AnswerReader, Detokenizer, response_template
from models.local_cache import PromptCache
from utils.errors import InvalidField, UpstreamError

log = logging.getLogger(__name__)

Message = dict[str, Any]
Send = Callable[[list[AIMessageChunk]], None]

GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "min_p": None}
FAILURES = (ImportError, OSError, ValueError, LookupError, TypeError, RuntimeError, MemoryError, TemplateError)

_models: dict[tuple[Path, int], "LocalModel"] = {}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked. Messages and tools are as OpenAI has them, but the arguments of a call are an object.

    A temperature of 0 always takes the likeliest token; None leaves a value to the model.
    """

    messages: list[Message]
    tools: list[dict[str, Any]] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()

    def sampling(self) -> dict[str, Any]:
        """How tokens are chosen, in the words of `generate`."""
        if self.temperature == 0:
            return GREEDY
        chosen = {"temperature": self.temperature, "top_p": self.top_p}
        named = {name: value for name, value in chosen.items() if value is not None}
        return {"do_sample": True, **named} if named else {}


def shared_model(path: Path, threads: int) -> "LocalModel":
    """The one model of this process for a folder; it is not loaded yet. 0 threads are as many as there are cores but one."""
    return _models.setdefault((path, threads), LocalModel(path, threads))


class LocalModel:
    """A model and the thread that runs it. Its name is that of its folder."""

    def __init__(self, path: Path, threads: int) -> None:
        self.name = path.name
        self._path, self._threads = path, threads
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-model")
        self._tokenizer: Any = None
        self._model: Any = None
        self._cache = PromptCache()

    def start(self, prompt: Prompt, send: Send, leave: threading.Event) -> Future[None]:
        """Queues a prompt. In the model's thread `send` gets the chunks of the answer, the last one with usage and finish
        reason; and an empty list when it is the prompt's turn, and for each token that says nothing yet. Setting `leave`
        ends it before the next layer of the model.

        The result is an InvalidField when the prompt is longer than the model's window, an UpstreamError when the model
        cannot be loaded or fails.
        """
        return self._thread.submit(self._answer, prompt, send, leave)

    def _answer(self, prompt: Prompt, send: Send, leave: threading.Event) -> None:
        try:
            if self._model is None:
                self._load()
            send([])
            self._generate(prompt, send, leave)
        except FAILURES:
            log.exception("The local model %s failed", self.name)
            raise UpstreamError(upstream=self.name) from None

    def _load(self) -> None:
        with _without_thread_limit():
            import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        # threads on all cores wait for each other as soon as anything else runs, and a token takes five times as long
        torch.set_num_threads(self._threads or max(1, torch.get_num_threads() - 1))
        log.info("Loading the local model %s, for %d threads", self.name, torch.get_num_threads())
        try:
            tokenizer = AutoTokenizer.from_pretrained(self._path, local_files_only=True)
            # "auto" is the number format in which the weights are stored
            model = AutoModelForCausalLM.from_pretrained(self._path, local_files_only=True, dtype="auto").eval()
        except SafetensorError as error:
            raise OSError(f"the weights cannot be read: {error}") from error
        model.generation_config.max_length = None  # the length is always given as a number of new tokens
        self._tokenizer, self._model = tokenizer, model
        log.info("The local model %s is loaded", self.name)

    def _generate(self, prompt: Prompt, send: Send, leave: threading.Event) -> None:
        import torch

        ids = self._encode(prompt)
        room = self._room(len(ids))
        ends = self._ends()
        reader = AnswerReader(self._parser(ids, prompt.tools), prompt.stop)
        tokens = TokenReader(self._tokenizer, ends, reader, send)
        inputs = torch.tensor([ids])
        cache, known = self._cache.take(ids)
        with _leaving(self._model, lambda: leave.is_set() or reader.stopped):
            cache = self._model.generate(
                inputs,
                attention_mask=torch.ones_like(inputs),
                streamer=tokens,
                max_new_tokens=min(room, prompt.max_tokens or self._model.generation_config.max_new_tokens or room),
                eos_token_id=sorted(ends) or None,
                pad_token_id=min(ends, default=0),
                num_beams=1,
                return_dict_in_generate=True,
                **prompt.sampling(),
                **({} if cache is None else {"past_key_values": cache}),
            ).past_key_values
        self._cache.keep(ids + tokens.ids, cache)
        if not leave.is_set():
            send([*tokens.rest(), self._last(len(ids), known, tokens)])

    def _encode(self, prompt: Prompt) -> list[int]:
        """The tokens of the prompt, by the model's own chat template. Marks of the template inside of messages stay text."""
        encode: Callable[[list[Message]], list[int]] = partial(
            self._tokenizer.apply_chat_template,
            tools=prompt.tools,
            add_generation_prompt=True,
            return_dict=False,
            sanitize_control_tokens=True,
        )
        try:
            return encode(prompt.messages)
        except TemplateError:  # some know no system message, or no tools
            return encode(_alternating(prompt.messages))

    def _parser(self, ids: list[int], tools: list[dict[str, Any]] | None) -> Any:
        tokenizer = self._tokenizer
        prompt = tokenizer.decode(ids)
        if tokenizer.response_template is not None:
            return tokenizer.get_response_parser(prefix=prompt, tools=tools)
        template = response_template(tokenizer.get_chat_template(tools=tools), tools=bool(tools))
        begun = OPEN if prompt.rstrip().endswith(OPEN) else ""  # some templates open the thoughts for the model
        return tokenizer.get_response_parser(template, prefix=begun, tools=tools)

    def _ends(self) -> frozenset[int]:
        """The tokens that end an answer. Some models name only one of two, the other one in another file."""
        named = self._model.generation_config.eos_token_id
        ids = named if isinstance(named, list) else [named]
        return frozenset(id for id in (*ids, self._tokenizer.eos_token_id) if id is not None)

    def _room(self, used: int) -> int:
        """How many tokens an answer may have. Raises InvalidField when the prompt leaves no room for one."""
        config = self._model.config.get_text_config(decoder=True)
        window: int = getattr(config, "max_position_embeddings", None) or self._tokenizer.model_max_length
        if used >= window:
            raise InvalidField.at("message", "longer than the model's window", "超过模型的上下文窗口")
        return window - used

    def _last(self, used: int, known: int, tokens: "TokenReader") -> AIMessageChunk:
        made = len(tokens.ids)
        usage = UsageMetadata(input_tokens=used, output_tokens=made, total_tokens=used + made)
        if known:
            usage["input_token_details"] = {"cache_read": known}
        return AIMessageChunk(
            content="",
            usage_metadata=usage,
            response_metadata={"finish_reason": tokens.finish_reason, "model_name": self.name},
            chunk_position="last",
        )


class TokenReader:
    """What `generate` streams to: the prompt first, then each token."""

    def __init__(self, tokenizer: Any, ends: frozenset[int], reader: AnswerReader, send: Send) -> None:
        self.ids: list[int] = []
        self.ended = False
        self._ends, self._reader, self._send = ends, reader, send
        self._begun = False
        self._characters = Detokenizer(tokenizer.decode)
        self._silent: set[int] = set()
        if tokenizer.response_template is None:  # a model's own template may name any of its special tokens
            added = tokenizer.added_tokens_decoder.items()
            self._silent = {id for id, token in added if token.special and token.content not in MARKS}

    @property
    def finish_reason(self) -> str:
        if not (self.ended or self._reader.stopped):
            return "length"
        return "tool_calls" if self._reader.calls else "stop"

    def put(self, ids: Any) -> None:
        """Takes a tensor of tokens."""
        if not self._begun:
            self._begun = True
            return
        for id in ids.tolist():
            self.ids.append(id)
            self.ended = id in self._ends
            text = "" if self.ended or id in self._silent else self._characters.feed(id)
            self._send(self._reader.feed(text) if text else [])

    def end(self) -> None:
        """Called when no more tokens come, though not when it is left before."""

    def rest(self) -> list[AIMessageChunk]:
        """What is left to say when no more tokens come."""
        left = "" if self._reader.stopped else self._characters.rest()
        return [*(self._reader.feed(left) if left else []), *self._reader.last()]


class Left(Exception):
    """Nobody wants the rest of the answer."""


@contextmanager
def _leaving(model: Any, unwanted: Callable[[], bool]) -> Iterator[None]:
    """Ends what the model computes inside, before the next layer after `unwanted` says so.

    A criterion that `generate` asks after each token would be too late: reading a long prompt can take a minute.
    """
    from torch.nn import ModuleList

    def look(*_: Any) -> None:
        if unwanted():
            raise Left

    lists = (module for module in model.modules() if isinstance(module, ModuleList))
    layers = [model, *(layer for modules in lists for layer in modules)]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with suppress(Left):
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _without_thread_limit() -> Iterator[None]:
    """Lets Torch use all cores. The limit of the process is there for numpy and tesseract, and read when Torch is loaded."""
    limit = os.environ.pop("OMP_THREAD_LIMIT", None)
    try:
        yield
    finally:
        if limit is not None:
            os.environ["OMP_THREAD_LIMIT"] = limit


def _alternating(messages: list[Message]) -> list[Message]:
    """The same for templates that know only a user and an assistant, in turns: what is not the assistant's is the user's."""
    turns: list[Message] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        content = message["content"]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{content}" if content else ""
        elif content:
            turns.append({"role": role, "content": content})
    return turns
