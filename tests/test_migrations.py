"""The schema that the migrations make is the one that the code describes, on each kind of database."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from models.database import Database, metadata
from models.engines import make_engine
from models.migrations import FOLDER, is_current, upgrade, upgrade_or_exit
from utils.errors import StoreUnavailable


def migrate(url: str, revision: str) -> None:
    """Takes the database at `url` back to an older revision."""
    engine, config = make_engine(url), Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


def test_the_schema_is_current_after_an_upgrade_and_not_before(empty_url: str) -> None:
    database = Database(empty_url)
    assert not is_current(database.engine)
    upgrade(empty_url)
    upgrade(empty_url)
    assert is_current(database.engine)
    database.close()


def test_migrated_schema_is_the_one_that_the_code_describes(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_all_migrations_can_be_undone(database_url: str) -> None:
    migrate(database_url, "base")
    engine = make_engine(database_url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version", "sqlite_sequence"}
    engine.dispose()
    upgrade(database_url)
    database = Database(database_url)
    assert is_current(database.engine)
    database.close()


def test_of_several_that_migrate_at_once_each_finds_the_new_schema(empty_url: str) -> None:
    together = threading.Barrier(4)

    def migrated(_: int) -> bool:
        database = Database(empty_url)
        together.wait(30)
        upgrade(empty_url)
        current = is_current(database.engine)
        database.close()
        return current

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(migrated, range(4))) == [True] * 4


def test_a_server_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        upgrade("postgresql://user:password@127.0.0.1:1/chat")
    database = Database("mysql://user:password@127.0.0.1:1/chat")
    with pytest.raises(StoreUnavailable):
        is_current(database.engine)
    database.close()


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_program_that_cannot_reach_its_database_says_why_but_not_the_password(kind: str) -> None:
    with pytest.raises(SystemExit) as ended:
        upgrade_or_exit(f"{kind}://user:geheim@127.0.0.1:1/chat")
    assert "127.0.0.1" in str(ended.value) and "geheim" not in str(ended.value)
