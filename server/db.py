"""The engine and the unit of work.

Every request does its database work inside one ``with database.write() as session:`` (or
``read()``), written in the route itself: the commit has happened when the block is left, and
only then is there an answer to give. A commit that fails raises in the route and becomes a 5xx,
so an agent never deletes a passage that was not stored (docs/decisions, "acknowledged only after
commit").

SQLite has one writer. Inside this process a lock lets writers in one after the other; towards
other processes ``BEGIN IMMEDIATE`` takes the write lock at once, so that no transaction that has
read has to be thrown away later. WAL lets readers go on meanwhile; ``synchronous=FULL`` makes an
acknowledged commit survive a power cut.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from typing import cast as typed

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    column,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import InstrumentedAttribute, Session

from server import citus
from server.errors import InvalidRequest, SettingsError, Unavailable
from server.settings import Settings
from server.tables import Counter

_log = logging.getLogger(__name__)

_BEGIN: Final = "kakou_begin"
_USED_AT: Final = "kakou_used_at"
_FRESH_S: Final = 1.0
"""So long after its use a connection is taken to be alive."""
BEGIN_WRITING: Final = {_BEGIN: "IMMEDIATE"}
"""Execution options of an engine whose transactions take SQLite's write lock at once."""


class Database:
    """One database; hand it to whoever opens transactions.

    Thread safe. ``close()`` when done.
    """

    def __init__(self, settings: Settings) -> None:
        """Make the engine; nothing is connected yet."""
        self._retry_after_s = settings.ingest.retry_after_s
        self._busy_timeout_s = settings.database.busy_timeout_ms / 1000
        self._writer = threading.Lock()
        self.engine = make_engine(settings)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        # connections of their own: to tell a connection each time what it is for is a round trip
        self._readers = self.engine if self.is_sqlite else make_engine(settings, read_only=True)
        self._glances = (
            self._readers
            if self.is_sqlite
            else self._readers.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._writers = self.engine.execution_options(**BEGIN_WRITING)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that cannot leave anything behind.

        Raises:
            Unavailable: the database is locked or away.
        """
        with self._translated(), Session(self._readers, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def glance(self) -> Iterator[Session]:
        """Give a session for a look or two: as :meth:`read`, without a transaction around them.

        On PostgreSQL to begin and to end one are two journeys beside that of the question. Each
        question sees what is committed when it is asked, as in :meth:`read`; rows cannot be
        fetched in parts.

        Raises:
            Unavailable: the database is locked or away.
        """
        with self._translated(), Session(self._glances, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session that is committed when the block ends, rolled back when it raises.

        Raises:
            Unavailable: the database is locked or away; nothing was stored.
        """
        with (
            self._translated(),
            self._sole_writer(),
            Session(self._writers, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()
        self._readers.dispose()

    @contextmanager
    def _sole_writer(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._writer.acquire(timeout=self._busy_timeout_s):
            raise Unavailable("the database is busy", retry_after_s=self._retry_after_s)
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            _log.warning("database: %s", getattr(error, "orig", None) or error)
            raise Unavailable(
                "the database is locked or away", retry_after_s=self._retry_after_s
            ) from error
        except ValueError as error:
            # psycopg2 refuses NUL, both drivers halves of surrogate pairs: only what somebody
            # sent can hold them, wherever it was going to
            if isinstance(error, UnicodeEncodeError) or "NUL" in str(error):
                raise InvalidRequest("a text holds a character that cannot be stored") from None
            raise
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unavailable(
                    "the database is away", retry_after_s=self._retry_after_s
                ) from error
            raise


def make_engine(settings: Settings, *, read_only: bool = False) -> Engine:
    """Make the engine that the settings name; ``read_only`` holds for PostgreSQL.

    Raises:
        SettingsError: the address is not one of SQLite or PostgreSQL.
    """
    database = settings.database
    try:
        url = make_url(settings.database_url)
    except Exception as error:
        raise SettingsError("database.url: not an address of a database") from error
    if url.get_backend_name() == "sqlite":
        if url.database:
            # whom a vehicle belongs to and where it was is nobody else's business on this machine
            Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = create_engine(
            url, pool_size=database.pool_size, max_overflow=40, hide_parameters=True
        )
        _prepare_sqlite(engine, database.busy_timeout_ms)
        return engine
    if url.get_backend_name() != "postgresql":
        raise SettingsError(
            f"database.url: {url.get_backend_name()} is not supported; sqlite or postgresql"
        )
    options = (
        f"-c timezone=UTC -c statement_timeout={database.statement_timeout_ms}"
        f" -c lock_timeout={database.busy_timeout_ms}"
        # no statement of ours is long enough to be worth compiling: it takes longer than most run
        " -c jit=off"
    )
    if read_only:
        options += " -c default_transaction_read_only=on"
    if database.distributed == "citus":
        options += f" -c {citus.SEQUENTIAL}"
    engine = create_engine(
        url,
        pool_size=database.pool_size,
        max_overflow=40,
        pool_timeout=database.busy_timeout_ms / 1000,
        hide_parameters=True,  # errors are logged, and parameters hold plates
        execution_options=citus.ENGINE_OPTIONS if database.distributed == "citus" else {},
        connect_args={"options": options, "application_name": "kakou", "connect_timeout": 5},
    )
    _ping_the_idle(engine)
    return engine


def _ping_the_idle(engine: Engine) -> None:
    """Ask a connection for a sign of life if it was not used lately.

    SQLAlchemy would ask each time, a round trip before every transaction. One that was used a
    moment ago is all but surely alive; if not, the transaction fails as it would a moment later.
    """

    @event.listens_for(engine, "checkin")
    def given_back(_connection: Any, record: Any) -> None:
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_USED_AT, 0.0) < _FRESH_S:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            alive = False
        if not alive:
            raise DisconnectionError


def _prepare_sqlite(engine: Engine, busy_timeout_ms: int) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in (
            f"busy_timeout={busy_timeout_ms}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        kind = connection.get_execution_options().get(_BEGIN, "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")


class TextList(TypeDecorator[Sequence[str]]):
    """A list of texts as one text, which each database takes apart.

    psycopg2 would write a list as an expression of so many constants, which PostgreSQL takes ten
    times as long to read.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> str | None:
        """Write it: JSON for SQLite, an array for PostgreSQL."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return json.dumps(list(value))
        quoted = [one.replace("\\", "\\\\").replace('"', '\\"') for one in value]
        return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"


def among(
    session: Session, attribute: InstrumentedAttribute[str], values: Sequence[str]
) -> ColumnElement[bool]:
    """``attribute IN values`` as one parameter, however many values there are."""
    listed = bindparam(None, list(values), type_=TextList())
    return _is_one_of(attribute, listed, sqlite=is_sqlite(session))


def among_given(
    attribute: InstrumentedAttribute[str], name: str, *, sqlite: bool
) -> ColumnElement[bool]:
    """The same for a statement that is made once; its parameter ``name`` is the list."""
    return _is_one_of(attribute, bindparam(name, type_=TextList()), sqlite=sqlite)


def _is_one_of(
    attribute: InstrumentedAttribute[str], listed: BindParameter[Any], *, sqlite: bool
) -> ColumnElement[bool]:
    if sqlite:
        each = func.json_each(listed).table_valued(column("value", Text))
        return attribute.in_(select(each.c.value))
    return attribute == func.any(cast(listed, ARRAY(Text())))


def is_sqlite(session: Session) -> bool:
    """Whether a session talks to SQLite."""
    return session.get_bind().dialect.name == "sqlite"


_COUNTER: Final = typed("Table", Counter.__table__)
_NEXT: Final = (
    update(_COUNTER)
    .where(_COUNTER.c.name == bindparam("counter"))
    .values(value=_COUNTER.c.value + 1)
    .returning(_COUNTER.c.value)
)


def next_number(session: Session, name: str) -> int:
    """Take the next number of a counter and keep its row locked until the transaction ends."""
    return int(session.connection().execute(_NEXT, {"counter": name}).scalar_one())


def ping(session: Session) -> None:
    """Ask the database for a sign of life."""
    session.execute(text("SELECT 1"))
