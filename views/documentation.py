"""The documentation: OpenAPI's document, and the page that shows it. All that the page needs comes from here."""

from functools import cache
from importlib.resources import files

import orjson
from flask import Blueprint, Response, redirect, send_from_directory

from utils.settings import ROOT
from views.description import Description

ASSETS = str(files("flask_openapi3_swagger") / "templates" / "swagger")
# the page asks nobody but this server, whatever the document says
POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"


def of(description: Description) -> Blueprint:
    """The addresses of the documentation."""
    blueprint = Blueprint("documentation", __name__)

    @cache
    def document() -> bytes:
        return orjson.dumps(description.document)

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return Response(document(), content_type="application/json")

    @blueprint.get("/docs")
    def page() -> Response:
        response = send_from_directory(ROOT / "static" / "docs", "index.html")
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @blueprint.get("/docs/<path:name>")
    def asset(name: str) -> Response:
        return send_from_directory(ASSETS, name)

    blueprint.add_url_rule("/", "index", lambda: redirect("/docs"))
    blueprint.add_url_rule("/docs/", "home", lambda: redirect("/docs"))
    return blueprint
