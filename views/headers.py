"""The headers of answers, as the documentation describes them."""

from typing import Any


def _header(description: str, example: str | int) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    return {"description": description, "schema": {"type": kind, "examples": [example]}}


HEADERS = {
    "X-Request-ID": _header(
        "The request's own, if it was sane, else a new one; every line of the log has it.", "8e3ddb55992d9608"
    ),
    "Retry-After": _header("Seconds until it is worth trying again.", 5),
    "RateLimit-Limit": _header("Turns in the window of the tightest limit. Only with RATE_LIMIT.", 10),
    "RateLimit-Remaining": _header("Turns that are left in it. Only with RATE_LIMIT.", 9),
    "RateLimit-Reset": _header("Seconds until one more is. Only with RATE_LIMIT.", 60),
    "Cache-Control": _header("Nothing between may keep the answer.", "no-cache"),
    "X-Accel-Buffering": _header("nginx passes each event on at once.", "no"),
    "Content-Disposition": _header(
        "Name of the file.", "attachment; filename=document.md; filename*=UTF-8''%E5%B9%B4%E5%81%87.md"
    ),
    "Content-Range": _header("Which part of the file it is; with 416, how large that is.", "bytes 0-1023/482133"),
    "Upgrade": _header("What this address speaks.", "websocket"),
    "x-vercel-ai-ui-message-stream": _header("With the UI message stream.", "v1"),
    "x-vercel-ai-data-stream": _header("With the data stream of the AI SDK 4.", "v1"),
}
