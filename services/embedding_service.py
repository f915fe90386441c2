"""Embeddings for clients, by the model that also embeds documents."""

from collections.abc import Sequence

from models.embeddings import Vectors
from services.history import estimate_tokens
from services.retrieval_service import RetrievalService
from utils.errors import InvalidField, OptionNotSupported

MAX_CHARS = 300_000  # of one request; the bundled model reads some 5,000 a second


class EmbeddingService:
    def __init__(self, retrieval: RetrievalService) -> None:
        self.retrieval = retrieval

    def embed(self, texts: Sequence[str], dimensions: int | None, model: str) -> tuple[Vectors, int]:
        """A vector of length 1 for each text, and how many tokens they are, as far as can be told without a tokenizer.

        Blocks. Raises InvalidField for too much text, OptionNotSupported where the model has not as many `dimensions`, and
        what the model's server amounts to.
        """
        if sum(map(len, texts)) > MAX_CHARS:
            raise InvalidField.at(
                "input", f"at most {MAX_CHARS} characters in one request", f"一次请求最多 {MAX_CHARS} 个字符"
            )
        if dimensions is not None and self.retrieval.embed(texts[:1]).shape[1] != dimensions:
            raise OptionNotSupported(option="dimensions", model=model)
        return self.retrieval.embed(texts), sum(map(estimate_tokens, texts))
