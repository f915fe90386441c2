"""The limit on turns, by who asks: the user, or the address where users are not told apart."""

import math
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Response, g, request

from views.common import LOCAL_OWNER, owner, services

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def admit() -> None:
    """Counts a turn of who asks. Raises RateLimited."""
    rate_limit = services().rate_limit
    if rate_limit is not None:
        who = owner()
        g.allowance = rate_limit.admit(request.remote_addr or "" if who == LOCAL_OWNER else who)


def limited(view: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """A view that starts a turn: it runs only when one more is allowed."""

    @wraps(view)
    def admitted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        admit()
        return view(*args, **kwargs)

    return admitted


def tell(response: Response) -> Response:
    """Adds to an answer what is left to who asked."""
    if allowance := g.pop("allowance", None):
        response.headers["RateLimit-Limit"] = str(allowance.limit)
        response.headers["RateLimit-Remaining"] = str(allowance.remaining)
        response.headers["RateLimit-Reset"] = str(math.ceil(allowance.reset))
    return response
