"""One engine for each kind of database, set up so that all of them do the same: SQLite, PostgreSQL and MySQL.

MariaDB is spoken to as MySQL. Reads are a consistent view (REPEATABLE READ); writes see what others have committed
(READ COMMITTED) and lock the rows that they change, while on SQLite they come one after the other.
"""

import fcntl
import os
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, DateTime, Engine, Table, Text, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles

from utils.errors import StoreUnavailable

# Parameters of the drivers, where a URL names none of its own. A server that is gone without a word is given up after a
# minute; a statement waits 10 s for a lock, as with SQLite.
POSTGRESQL = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
MYSQL = {
    "charset": "utf8mb4",
    "connect_timeout": "10",
    "read_timeout": "60",
    "write_timeout": "60",
    "init_command": "SET SESSION innodb_lock_wait_timeout = 10, sql_mode = 'STRICT_ALL_TABLES'",
}
DRIVERS = {
    "postgresql": ("postgresql+psycopg", POSTGRESQL),
    "postgres": ("postgresql+psycopg", POSTGRESQL),
    "mysql": ("mysql+pymysql", MYSQL),
    "mariadb": ("mysql+pymysql", MYSQL),
}
CONFLICTS = frozenset({"40001", "40P01", 1020})  # deadlocks, and rows that another transaction changed meanwhile
MIGRATION_LOCK = "llm-chat-backend"


def make_engine(url: str, *, patient: bool = False) -> Engine:
    """An engine for one process. A pool waits at most 10 s for a connection, a statement as long for a lock.

    `patient` lets a statement on MySQL last as long as it takes.
    """
    address = complete(url, patient=patient)
    options: dict[str, Any] = {"pool_timeout": 10, "hide_parameters": True}
    if address.get_backend_name() == "sqlite":
        return _sqlite(address, **options)
    # servers take some 100 connections, which all processes share
    options |= {"pool_size": 8, "max_overflow": 12, "pool_pre_ping": True, "isolation_level": "READ COMMITTED"}
    engine = create_engine(address, **options)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def complete(url: str, *, patient: bool = False) -> URL:
    """The URL of a database with the one driver that we use for it, whichever it names, and with the driver's parameters."""
    parsed = make_url(url)
    driver, parameters = DRIVERS.get(parsed.get_backend_name(), (parsed.drivername, {}))
    if patient:
        parameters = {name: value for name, value in parameters.items() if name != "read_timeout"}
    return parsed.set(drivername=driver, query={**parameters, **parsed.query})


def reading(engine: Engine) -> dict[str, Any]:
    """The options of a connection that only reads."""
    return {"reading": True} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}


def is_conflict(error: DBAPIError) -> bool:
    """Whether a transaction failed only because of another one, and may succeed when it is tried again."""
    number = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return number in CONFLICTS or getattr(error.orig, "sqlstate", None) in CONFLICTS


def lock_migrations(connection: Connection) -> None:
    """Lets one process at a time migrate, until the connection is closed. On SQLite every transaction does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '50s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": MIGRATION_LOCK})
    elif connection.dialect.name == "mysql" and not connection.scalar(
        text("SELECT GET_LOCK(:name, 50)"), {"name": MIGRATION_LOCK}
    ):
        raise StoreUnavailable(store="database")


def _sqlite(address: URL, **options: Any) -> Engine:
    folder = Path(address.database or ".").parent
    folder.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, pool_size=16, max_overflow=64, **options)
    event.listen(engine, "connect", partial(_prepare_sqlite, folder))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(folder: Path, connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, below
    for pragma in ("busy_timeout=10000", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete":
        _write_ahead(folder, connection)


def _write_ahead(folder: Path, connection: Any) -> None:
    """Gives a new database its write-ahead log: one connection at a time, since SQLite refuses the others at once."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        os.close(directory)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that starts as a reader and then writes fails at once when another wrote in between, whatever the
    # timeout; one that takes the write lock first waits for it.
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reading") else "BEGIN IMMEDIATE")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    # a NUL, which a model may well write, would make PostgreSQL refuse its whole answer
    connection.adapters.register_dumper(str, _without_nul())
    connection.execute("SET lock_timeout = '10s'")
    connection.commit()


@cache
def _without_nul() -> type:
    from psycopg.types.string import StrDumperUnknown  # here, because it takes 0.1 s and 10 MB, for nothing with SQLite

    class WithoutNul(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", ""))

    return WithoutNul


# What follows is said once for all tables and migrations, of which none can forget it.


@compiles(DateTime, "mysql")
def _with_microseconds(_type: DateTime, _compiler: Any, **_options: Any) -> str:
    return "DATETIME(6)"


@compiles(Text, "mysql")
def _of_any_length(_type: Text, _compiler: Any, **_options: Any) -> str:
    return "LONGTEXT"  # TEXT ends at 64 KB


@event.listens_for(Table, "before_create")
def _tell_names_apart(table: Table, connection: Connection, **_options: Any) -> None:
    """By MySQL's own collation `Abc`, `abc` and `äbc` would be one session."""
    if connection.dialect.name == "mysql":
        mariadb = getattr(connection.dialect, "is_mariadb", False)
        table.dialect_options["mysql"]["collate"] = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
