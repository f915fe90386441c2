"""The schema that the migrations make is the one that the code describes, on each kind of database."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select

from models.database import Database, conversations, documents, knowledge_bases, metadata, now, owners
from models.engines import make_engine
from models.migrations import FOLDER, is_current, upgrade, upgrade_or_exit
from utils.errors import StoreUnavailable


def migrate(url: str, revision: str, *, up: bool = False) -> None:
    """Takes the database at `url` back to an older revision, or `up` to it."""
    engine, config = make_engine(url), Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, revision)
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


# of those that have the same content, the oldest that did not fail gets its name
OLD_DOCUMENTS = [
    ("doc_1", "same", "failed"),
    ("doc_2", "same", "ready"),
    ("doc_3", "same", "queued"),
    ("doc_4", "other", "failed"),
]


def test_documents_stay_when_knowledge_bases_come_and_go(empty_url: str) -> None:
    migrate(empty_url, "0003", up=True)
    engine = make_engine(empty_url)
    times = {"created_at": now(), "updated_at": now()}
    file = {"filename": "报告.pdf", "media_type": "application/pdf", "bytes": 3, **times}
    with engine.begin() as connection:
        connection.execute(owners.insert().values(id="local", created_at=now()))
        connection.execute(conversations.insert().values(id=7, owner_id="local", session_id="old", **times))
        for name, sha256, status in OLD_DOCUMENTS:
            row = {"id": name, "conversation_id": 7, "sha256": sha256, "status": status}
            connection.execute(documents.insert().values(row | file))
    upgrade(empty_url)
    with engine.begin() as connection:
        found = connection.execute(select(documents.c.id, documents.c.content_key)).all()
        assert dict(map(tuple, found)) == {"doc_1": None, "doc_2": "7:same", "doc_3": None, "doc_4": "7:other"}
        connection.execute(knowledge_bases.insert().values(id="kb_1", owner_id="local", name="制度", **times))
        connection.execute(documents.insert().values(id="doc_5", knowledge_base_id="kb_1", sha256="x", **file))
    migrate(empty_url, "0003")
    with engine.begin() as connection:
        columns = documents.c.id, documents.c.sha256, documents.c.status
        assert [*map(tuple, connection.execute(select(*columns).order_by(documents.c.id)))] == OLD_DOCUMENTS
    upgrade(empty_url)
    assert is_current(engine)
    engine.dispose()
