"""The Flask application: builds everything once, turns errors into answers, logs requests.

`python app.py` runs the whole product; under gunicorn the factory is `app:create_app()`.
"""

import logging
import re
import secrets
import time
from typing import Any

import orjson
from flask import Flask, Request, Response, g, redirect, request
from flask_openapi3 import Info, OpenAPI
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from models.migrations import is_current
from routes import blueprints
from services.wiring import Services
from utils.errors import (
    BadRequest,
    ChatError,
    InvalidField,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedType,
)
from utils.logs import configure_logging, request_id_var
from utils.settings import ROOT, VERSION, Settings, load_settings
from views.common import language

log = logging.getLogger("chat.requests")

JSON_MAX_BYTES = 8_000_000
UPLOAD_FILES = 10  # files of the largest size that one request may bring
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")


class StrictRequest(Request):
    """A request whose JSON is UTF-8, an object and not too large, or a clear error."""

    def get_json(self, *_: Any, **__: Any) -> Any:
        data = self.get_data() if self.is_json or not self.content_type else b""
        if not data and self.content_type and not self.is_json:
            raise UnsupportedType(type=self.mimetype)
        if len(data) > JSON_MAX_BYTES:
            raise TooLarge(limit=JSON_MAX_BYTES)
        try:
            body = orjson.loads(data or b"{}")
        except orjson.JSONDecodeError as error:
            raise BadRequest() from error
        if not isinstance(body, dict):
            raise InvalidField(errors=[{"field": "body", "message": "must be a JSON object"}])
        return body


def create_app(settings: Settings | None = None) -> Flask:
    """The application with its stores and services. Refuses to serve a database whose schema is behind."""
    settings = settings or load_settings()
    configure_logging(settings.LOG_LEVEL)
    app = OpenAPI(
        __name__,
        info=Info(title="LLM Chat Backend", version=VERSION),
        validation_error_callback=_invalid,
        doc_prefix="/docs",
        static_folder=str(ROOT / "static"),
    )
    app.request_class = StrictRequest
    app.config["MAX_CONTENT_LENGTH"] = settings.UPLOAD_MAX_BYTES * UPLOAD_FILES + JSON_MAX_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = JSON_MAX_BYTES
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    services = Services.build(settings)
    if not is_current(services.database.engine):
        raise SystemExit("The database schema is behind. Run `python -m models.migrations` first.")
    app.extensions["services"] = services
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_error_handler(ChatError, _problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _unexpected)
    app.config["OPENAPI_HTML_STRING"] = '<meta http-equiv="refresh" content="0; url=/docs/swagger">'  # the only viewer
    app.add_url_rule("/", endpoint="index", view_func=lambda: redirect("/docs/swagger"))
    for blueprint in blueprints:
        app.register_api(blueprint)
    return app


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    g.started = time.perf_counter()
    request_id_var.set(g.request_id)


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    ms = (time.perf_counter() - g.started) * 1000
    log.info("%s %s %d %.1f ms", request.method, request.path, response.status_code, ms)
    return response


def _problem(error: ChatError) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.message(language()),
        "code": error.code,
        "request_id": g.request_id,
    }
    if error.errors:
        body["errors"] = error.errors
    response = Response(orjson.dumps(body), error.status, content_type="application/problem+json")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return response


def _invalid(error: ValidationError) -> Response:
    faults = [
        {"field": ".".join(map(str, fault["loc"])) or "body", "message": fault["msg"]}
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    raise InvalidField(errors=faults)


def _http_problem(error: HTTPException) -> Response:
    match error.code:
        case 404:
            return _problem(NotFound(what="address"))
        case 405:
            response = _problem(MethodNotAllowed(method=request.method))
            if methods := getattr(error, "valid_methods", None):
                response.headers["Allow"] = ", ".join(methods)
            return response
        case 413:
            return _problem(TooLarge(limit=request.max_content_length))
        case 415:
            return _problem(UnsupportedType(type=request.mimetype))
        case code if code is not None and 400 <= code < 500:
            return _problem(BadRequest())
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    log.exception("An unexpected error", exc_info=error)
    return _problem(ChatError())


if __name__ == "__main__":
    from services.launcher import main

    main()
