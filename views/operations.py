"""What operators look at."""

from typing import Any

from flask import Response

from utils import metrics as numbers
from views.common import services


def _report() -> tuple[dict[str, Any], int]:
    report = services().health.report()
    return report, 503 if report["status"] == "down" else 200


def health() -> tuple[dict[str, Any], int]:
    """The state of the parts; 503 when no turn could be served."""
    return _report()


def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


def ready() -> tuple[dict[str, Any], int]:
    """Whether turns can be served."""
    return _report()


def metrics() -> Response:
    """What all workers have counted, in Prometheus' text format."""
    return Response(numbers.page(), content_type=numbers.MEDIA_TYPE)
