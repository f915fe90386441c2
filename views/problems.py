"""Errors as answers: OpenAI's error object at its addresses, RFC 9457 everywhere else."""

import math
from typing import Any

import orjson
from flask import Response, request

from services.protocols import openai
from utils.errors import ChatError, Language
from utils.logs import request_id_var
from views.common import language

OPENAI_ADDRESSES = "/v1/"


def problem(error: ChatError, **headers: str) -> Response:
    """The one place where an error becomes an answer; `headers` by their names with `_` for `-`."""
    body, status, media_type = told(error, request.path, language(), request_id_var.get())
    response = Response(orjson.dumps(body), status, content_type=media_type)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


def told(error: ChatError, path: str, speech: Language, request_id: str) -> tuple[dict[str, Any], int, str]:
    """An error as clients of that address are told it: body, status and media type."""
    if path.startswith(OPENAI_ADDRESSES):
        return openai.error(error, speech), openai.status(error), "application/json"
    details: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.message(speech),
        "code": error.code,
        "request_id": request_id,
    }
    if error.filename is not None:
        details["filename"] = error.filename
    if error.errors:
        details["errors"] = error.faults(speech)
    return details, error.status, "application/problem+json"
