"""Each user's choice of a model, and the chat that follows it."""

from typing import Any

from flask import Response

from models import schemas_config
from services.protocols import chunks
from views.common import answer, language, owner, services


def show(query: schemas_config.ConfigQuery) -> dict[str, Any]:
    """The models that a user may choose from, and the one that is chosen. Keys are masked."""
    return services().configs.get(owner(), _user(query.user_id))


def update(body: schemas_config.ConfigBody) -> dict[str, Any]:
    """Changes what the body names. `model_type` is a type of `preset_models`, or `custom` for a server of one's own."""
    return services().configs.update(owner(), _user(body.user_id), body)


def chat(body: schemas_config.SimpleChatBody) -> Response:
    """Asks the agent, with the model of `user_id`. With `stream: true` the answer comes as server-sent events."""
    chosen = services().configs.choice(owner(), _user(body.user_id))
    return answer(chosen.applied(chunks.parse(body, owner(), language())), body.stream, wire=chunks)


def _user(user_id: str | None) -> str:
    """Whose configuration it is; where nobody is named, that of who asks."""
    return user_id or owner()
