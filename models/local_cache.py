"""What a local model has read already, so that a prompt which begins like the one before is read only from where it differs.

A processor reads some hundred tokens a second, and each call of an agent repeats the whole conversation.
"""

from itertools import takewhile
from typing import Any


class PromptCache:
    """The keys and values of the last tokens. Only those of plain attention can be cut back to a common start."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._cache: Any = None

    def take(self, ids: list[int]) -> tuple[Any, int]:
        """What is known of the start of `ids`, and how many tokens that are; None and 0 when nothing is.

        It is forgotten here until it is kept again: after a failure nobody knows what it holds.
        """
        known, cache = self._ids, self._cache
        self._ids, self._cache = [], None
        if cache is None:
            return None, 0
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(known, ids[:-1], strict=False)))
        # a generation that was left may have read a token in some layers and not in others
        common = min(same, *(layer.get_seq_length() for layer in cache.layers))
        if not common:
            return None, 0
        for layer in cache.layers:
            layer.crop(common - layer.get_seq_length())
        return cache, common

    def keep(self, ids: list[int], cache: Any) -> None:
        """Remembers what was read of `ids`, where it can be cut back later."""
        from transformers.cache_utils import DynamicCache, DynamicLayer

        if type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in cache.layers):
            self._ids, self._cache = ids, cache
