"""OpenAI's API at /v1: the agent for clients that know no other, and the models themselves."""

import secrets
import time
from dataclasses import replace
from typing import Any

from flask import Response, jsonify

from models import schemas_openai as schemas
from models.completions import Completion
from models.schemas_openai_answers import ModelPath
from services.attachments import with_files, with_pictures_read
from services.chat_service import Prepare
from services.openai_requests import agent_turn
from services.protocols import openai as wire
from views.common import FIRST_EVENT_SECONDS, answer, language, owner, services, streamed
from views.departures import on_departure

MODELS_CREATED = 0  # nobody tells us


def chat_completions(body: schemas.ChatCompletionBody) -> Response:
    """Asks a model as it is, with the client's tools, or the agent with the server's: `agent`, `agent:<model>`, a session.

    With `stream: true` the answer comes as chunks.
    """
    return _agent(body) if body.for_agent else _model(body)


def models() -> dict[str, Any]:
    """The models that the settings name. A server that speaks OpenAI's API is asked for others too."""
    return {"object": "list", "data": wire.models(services().catalog.listed(), MODELS_CREATED)}


def model(path: ModelPath) -> dict[str, Any]:
    """One of these models."""
    return wire.model(services().catalog.listed(), MODELS_CREATED, path.model)


def embeddings(body: schemas.EmbeddingsBody) -> Response:
    """Vectors of texts, by the model that also embeds documents. The count of tokens is an estimate."""
    services().catalog.check_embedding_model(body.model)
    vectors, tokens = services().embeddings.embed(body.texts, body.dimensions, body.model)
    return jsonify(wire.embeddings(vectors, body.model, tokens, body.encoding_format))


def speech(body: schemas.AudioSpeechBody) -> Response:
    """Speaks a text; answers with the audio itself, as WAV where no format is named."""
    services().catalog.check_speech_model(body.model)
    spoken = services().audio.speak(body.input, body.voice, body.response_format)
    return Response(spoken.audio, content_type=spoken.media_type)


def _agent(body: schemas.ChatCompletionBody) -> Response:
    turn, files = agent_turn(body, owner(), language())
    name, endpoint = services().catalog.endpoint(turn.model)
    turn = replace(turn, model=name, endpoint=endpoint)
    prepare: Prepare | None = None
    if files:
        prepare = with_files(services().images, services().documents, files)
    elif turn.history is not None and not services().settings.LLM_VISION:
        prepare = with_pictures_read(services().images)
    shape = _shape(body, turn.message_ids[1].removeprefix("msg_"))
    return answer(turn, bool(body.stream), prepare, shape)


def _model(body: schemas.ChatCompletionBody) -> Response:
    completion = services().completions.start(Completion(body.model, body.sent_messages, body.options))
    on_departure(services().background.loop, completion.leave)
    shape = _shape(body, secrets.token_hex(12))
    if not body.stream:
        return jsonify(shape.whole_of(completion.pieces()))
    completion.wait_for_model(FIRST_EVENT_SECONDS)
    return streamed(shape.stream_of(completion.batches(), language()), on_close=completion.leave)


def _shape(body: schemas.ChatCompletionBody, name: str) -> wire.Wire:
    created = int(time.time())
    return wire.Wire(f"chatcmpl-{name}", body.model, created, body.include_usage, body.session_id is not None)
