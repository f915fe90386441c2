"""The Flask application: builds everything once, turns errors into answers, logs requests.

`python app.py` runs the whole product; under gunicorn the factory is `app:create_app()`.
"""

import logging
from http import HTTPStatus
from typing import Any

import orjson
from flask import Flask, Request, Response, current_app, request
from flask_cors import CORS
from flask_openapi3 import OpenAPI
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import WebsocketMismatch

from models.migrations import is_current
from routes import blueprints, description
from services.wiring import Services
from utils.errors import (
    BadRequest,
    ChatError,
    InvalidField,
    InvalidJson,
    MethodNotAllowed,
    NotFound,
    RangeNotSatisfiable,
    TooLarge,
    UnsupportedType,
    UpgradeRequired,
)
from utils.logs import configure_logging
from utils.request_log import ROUTE, RequestLog
from utils.settings import ROOT, Settings, load_settings
from views import documentation, rate_limit, websocket
from views.common import invalid_fields
from views.problems import problem

log = logging.getLogger("app")

JSON_MAX_BYTES = 8_000_000
FILES_IN_JSON = ("/api/chat", "/v1/chat/")  # addresses whose messages may hold files, as data: URLs
UPLOAD_FILES = 10  # files of the largest size that one request may bring
PREFLIGHT_SECONDS = 600  # how long a browser remembers what it may do
EXPOSED_HEADERS = (
    "X-Request-ID",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Content-Disposition",
    "x-vercel-ai-ui-message-stream",
    "x-vercel-ai-data-stream",
)


class StrictRequest(Request):
    """A request whose JSON is UTF-8, an object and not too large, or a clear error."""

    def get_json(self, *_: Any, **__: Any) -> Any:
        self.max_content_length = JSON_MAX_BYTES
        if self.path.startswith(FILES_IN_JSON):  # room for one of the largest size, in base64
            self.max_content_length += current_app.extensions["services"].settings.UPLOAD_MAX_BYTES * 4 // 3
        if self.content_type and not self.is_json and self.content_length != 0:  # an empty body is of no type
            raise UnsupportedType(type=self.mimetype)
        data = self.get_data()
        try:
            body = orjson.loads(data or b"{}")
        except orjson.JSONDecodeError as error:
            raise InvalidJson() from error
        if not isinstance(body, dict):
            raise InvalidField.at("body", "must be a JSON object", "须为 JSON 对象")
        return body


def create_app(settings: Settings | None = None) -> Flask:
    """The application with its stores and services. Refuses to serve a database whose schema is behind."""
    settings = settings or load_settings()
    configure_logging(settings)
    app = OpenAPI(
        __name__,
        validation_error_callback=_invalid,
        doc_ui=False,  # the documentation is our own
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
    app.before_request(_note_route)
    app.after_request(rate_limit.tell)
    app.after_request(_finish)
    app.register_error_handler(ChatError, problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _unexpected)
    for blueprint in blueprints:
        app.register_api(blueprint)
    app.register_blueprint(websocket.blueprint)
    app.register_blueprint(documentation.of(description))
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25, "max_message_size": JSON_MAX_BYTES}
    _surround(app, settings)
    return app


def _surround(app: Flask, settings: Settings) -> None:
    """What is there for all addresses: browsers of other sites let in, proxies believed, requests logged and counted."""
    if settings.CORS_ORIGINS:
        CORS(
            app,
            origins=settings.CORS_ORIGINS,
            supports_credentials=settings.CORS_CREDENTIALS,
            send_wildcard="*" in settings.CORS_ORIGINS,
            always_send=False,
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )
    if proxies := settings.TRUSTED_PROXIES:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    app.wsgi_app = RequestLog(app.wsgi_app)  # type: ignore[method-assign]


def _note_route() -> None:
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule


def _finish(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.status_code == HTTPStatus.NO_CONTENT:
        response.headers.pop("Content-Type", None)  # Flask's own, of nothing
    return response


def _invalid(error: ValidationError) -> Response:
    raise invalid_fields(error)


def _http_problem(error: HTTPException) -> Response:
    match error:
        case WebsocketMismatch() if "Upgrade" not in request.headers:
            return problem(UpgradeRequired(), Upgrade="websocket")
        case RequestedRangeNotSatisfiable():
            return problem(RangeNotSatisfiable(size=error.length), Content_Range=f"bytes */{error.length}")
    match error.code:
        case 404:
            return problem(NotFound(what="address"))
        case 405:
            methods = getattr(error, "valid_methods", None)
            return problem(MethodNotAllowed(method=request.method), **({"Allow": ", ".join(methods)} if methods else {}))
        case 413:
            return problem(TooLarge(limit=request.max_content_length))
        case 415:
            return problem(UnsupportedType(type=request.mimetype))
        case code if code is not None and 400 <= code < 500:
            return problem(BadRequest())
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    log.exception("An unexpected error", exc_info=error)
    return problem(ChatError())


if __name__ == "__main__":
    from services.launcher import main

    main()
