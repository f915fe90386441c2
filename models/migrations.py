"""The schema of the database, moved forward by Alembic. `python -m models.migrations` brings it up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from models.database import translated
from models.engines import lock_migrations, make_engine
from utils.errors import StoreUnavailable
from utils.settings import load_settings

FOLDER = Path(__file__).resolve().parent.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config


def upgrade(url: str) -> None:
    """Brings the database at `url` to the newest schema. Other processes that want to do so wait meanwhile.

    Raises StoreUnavailable. On MySQL, which commits each change of a table at once, what has been done stays.
    """
    engine = make_engine(url, patient=True)
    config = _config()
    try:
        with translated(), engine.begin() as connection:
            lock_migrations(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def upgrade_or_exit(url: str) -> None:
    """Does the same for a program that is starting: ends it with the reason when that fails."""
    try:
        upgrade(url)
    except StoreUnavailable as error:
        reason = getattr(error.__cause__, "orig", None) or error.__cause__ or error
        raise SystemExit(f"The database cannot be brought up to date: {reason}") from None


def is_current(engine: Engine) -> bool:
    """Whether the database has the schema that this code needs. Raises StoreUnavailable."""
    with translated(), engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(_config()).get_current_head()


if __name__ == "__main__":
    upgrade_or_exit(load_settings().database_url)
