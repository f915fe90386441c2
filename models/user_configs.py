"""Which model each user has chosen, in SQL. A row belongs to an owner, and is named by what the owner calls the user."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, insert, select, update

from models.database import Database, now, owners, retried, user_configs


@dataclass(frozen=True, slots=True)
class UserConfig:
    """The columns of a row. Empty and None mean that nothing is chosen; `custom_api_key` is encrypted."""

    current_model_type: str = ""
    max_tokens: int | None = None
    custom_api_url: str = ""
    custom_model: str = ""
    custom_api_key: str = ""


_COLUMNS = [user_configs.c[name] for name in UserConfig.__dataclass_fields__]


def _row(owner: str, user_id: str) -> Select[Any]:
    mine = (user_configs.c.owner_id == owner, user_configs.c.user_identifier == user_id)
    return select(*_COLUMNS).where(*mine)


def find(database: Database, owner: str, user_id: str) -> UserConfig:
    """What a user has chosen; nothing where there is no row."""
    with database.read() as connection:
        row = connection.execute(_row(owner, user_id)).first()
    return UserConfig(*row) if row else UserConfig()


@retried
def change(database: Database, owner: str, user_id: str, edit: Callable[[UserConfig], UserConfig]) -> UserConfig:
    """Puts what `edit` makes of a user's row in its place; an exception of `edit` leaves it as it was."""
    with database.write() as connection:
        row = connection.execute(_row(owner, user_id).with_for_update()).first()
        edited = edit(UserConfig(*row) if row else UserConfig())
        _store(connection, owner, user_id, asdict(edited), known=row is not None)
    return edited


def _store(connection: Connection, owner: str, user_id: str, values: dict[str, Any], *, known: bool) -> None:
    if known:
        mine = (user_configs.c.owner_id == owner, user_configs.c.user_identifier == user_id)
        connection.execute(update(user_configs).where(*mine).values(values))
        return
    if connection.execute(select(owners.c.id).where(owners.c.id == owner)).first() is None:
        connection.execute(insert(owners).values(id=owner, created_at=now()))
    connection.execute(insert(user_configs).values(owner_id=owner, user_identifier=user_id, **values))
