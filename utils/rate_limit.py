"""How many turns a client may start, counted in Redis and so over all workers."""

import logging
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from utils.errors import RateLimited

log = logging.getLogger(__name__)

SECONDS_TO_CONNECT = 1.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to a client: `remaining` of `limit` turns; `reset` seconds until one more is."""

    limit: int
    remaining: int
    reset: float


class RateLimit:
    """One or more limits, such as '10/minute; 200/day', in windows that move: each turn counts until it is that old."""

    def __init__(self, rates: str, redis_url: str) -> None:
        scheme, _, place = redis_url.partition("://")
        storage = storage_from_string(
            f"{'redis+unix' if scheme == 'unix' else scheme}://{place}",
            wrap_exceptions=True,
            key_prefix="rate",
            socket_connect_timeout=SECONDS_TO_CONNECT,
            socket_timeout=SECONDS_TO_CONNECT,
        )
        self._windows = MovingWindowRateLimiter(storage)
        self._limits = sorted(parse_many(rates))

    def admit(self, client: str) -> Allowance | None:
        """Counts a turn; the tightest allowance after it. Raises RateLimited.

        None when Redis is away: whoever guards a service must not take it down. Most turns fail then anyway, by themselves.
        """
        try:
            allowances = [self._take(limit, client) for limit in self._limits]
        except StorageError as error:
            log.warning("Turns are not limited, Redis is away: %s", error)
            return None
        return min(allowances, key=lambda allowance: allowance.remaining)

    def _take(self, limit: RateLimitItem, client: str) -> Allowance:
        taken = self._windows.hit(limit, client)
        window = self._windows.get_window_stats(limit, client)
        reset = max(0.0, window.reset_time - time.time())
        if not taken:
            raise RateLimited(retry_after=reset)
        return Allowance(limit.amount, window.remaining, reset)
