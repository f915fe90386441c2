"""Providers of chat models, one file each, found by `utils.registry`.

Each has `NAME`, as LLM_PROVIDER names it; `NEEDS`, the settings that it cannot do without, in words; `configured(settings)`;
`rank(settings)`, by which the first one is taken where several are configured and none is named; `default_model(settings)`;
and `build(settings, options)`, which makes a BaseChatModel whose failures are errors of `utils.errors`.
"""

from dataclasses import dataclass

from pydantic import SecretStr

from utils.settings import NO_KEY, Settings


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model server that a request chose: one of our providers by name (empty: the server's own choice), or a base URL.

    A URL may be somebody else's server: it gets `api_key` and never a key of the settings. `public_only`: a user gave it, so
    it must not lead to the inner network.
    """

    provider: str = ""
    base_url: str = ""
    api_key: SecretStr = NO_KEY
    public_only: bool = False


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model, and how. None and empty mean the provider's default. Timeouts are in seconds.

    A `base_url` that is given here gets `api_key` and never a key of the settings: it may be somebody else's server.
    With `guard` the connection goes to a public address, or to an inner host that these settings let through.
    """

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    base_url: str = ""
    api_key: SecretStr = NO_KEY
    connect_timeout: float = 10
    read_timeout: float = 60
    guard: Settings | None = None

    def endpoint(self, url: str, key: SecretStr) -> tuple[str, SecretStr]:
        """The URL and the key to use, where the server's own are `url` and `key`."""
        if self.base_url:
            return self.base_url.rstrip("/").removesuffix("/chat/completions"), self.api_key
        return url, self.api_key if self.api_key.get_secret_value() else key
