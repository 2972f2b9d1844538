"""The store: one database, and all that reads or changes it."""

import asyncio
import secrets
from copy import copy
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from formant_mcp.analysis.phrase_lists import PhraseLists
from formant_mcp.analysis.signals import measure
from formant_mcp.errors import ConfigurationError, FormantError, with_extra
from formant_mcp.redaction.redactor import Redactor
from formant_mcp.store.aggregates import Aggregates
from formant_mcp.store.engine import AccountKey, Connection, Database, OnDatabase, Owner, on_writer, one_query
from formant_mcp.store.examples import Examples
from formant_mcp.store.facts import StoreFacts
from formant_mcp.store.members import Members
from formant_mcp.store.phrases import Answers, Phrases
from formant_mcp.store.purge import Purge
from formant_mcp.store.reader import Reader
from formant_mcp.store.redacted import RedactedPhrases, RedactedReader, RedactedSearch, Redaction
from formant_mcp.store.retention import Retention
from formant_mcp.store.review import Review
from formant_mcp.store.search import Search
from formant_mcp.store.signals import Signals
from formant_mcp.store.sqlite.database import SqliteDatabase
from formant_mcp.store.sqlite.inspection import ids_in_file
from formant_mcp.store.sqlite.owner import read_owner
from formant_mcp.store.sync_state import SyncState
from formant_mcp.store.value_counts import ValueCounter
from formant_mcp.store.writer import Due, Writer

if TYPE_CHECKING:
    from formant_mcp.store.postgres.database import PostgresDatabase

_IDENTITY = "SELECT value FROM $meta WHERE name = 'identity'"


class Store(OnDatabase):
    """Everything stored of one account.

    Raises (from every method):
        StoreError: the file cannot be used. ConfigurationError: it belongs to another account.
    """

    def __init__(self, database: Database, due: Due, lists: PhraseLists) -> None:
        super().__init__(database)
        self.write = Writer(database, due, partial(measure, lists=lists))
        self.read = Reader(database)
        self.search = Search(database)
        self.aggregates = Aggregates(database)
        self.examples = Examples(database)
        self.signals = Signals(database, lists)
        self.phrases = Phrases(database, Answers())
        self.values = ValueCounter(database)
        self.review = Review(database)
        self.sync_state = SyncState(database)
        self.members = Members(database)
        self.purge = Purge(database)
        self.retention = Retention(database)
        self._known_identity = (0, "")

    @classmethod
    async def open(
        cls, where: Path | str | None, account: AccountKey, due: Due, lists: PhraseLists | None = None
    ) -> "Store":
        """Opens the store in a file, at a database's address, or in memory for None.

        A file with another account's conversations is refused. `due` says when a detail must be fetched again; `lists`
        are the phrases that calls are searched for; None: the package's.
        """
        lists = lists or await asyncio.to_thread(PhraseLists.load)
        return cls(await _open_database(where, account), due, lists)

    def keep_for(self, span: timedelta | None) -> None:
        """Keeps only what started within that span from now on."""
        self.retention.span = span
        self.write.is_expired = self.retention.is_expired if span else None

    def limited_to(self, agents: frozenset[str]) -> "Store":
        """This store for a reader for whom only these agents' conversations exist."""
        limited = copy(self)
        limited.visible_agents = agents
        limited.read = Reader(self.database, agents)
        limited.search = Search(self.database, agents)
        limited.aggregates = Aggregates(self.database, agents)
        limited.examples = Examples(self.database, agents)
        limited.signals = self.signals.limited_to(agents)
        limited.phrases = self.phrases.limited_to(agents)
        limited.values = ValueCounter(self.database, agents)
        limited.review = Review(self.database, agents)
        return limited

    def redacted(self, redactor: Redactor) -> "Store":
        """This store for a reader from whom identifiers are hidden."""
        hidden, redaction = copy(self), Redaction(redactor)
        reader = RedactedReader(self.read, redaction)
        hidden.read, hidden.search = reader, RedactedSearch(self.search, redaction, reader)
        hidden.phrases = RedactedPhrases(self.phrases, reader)
        return hidden

    async def identity(self) -> str:
        """A unique name for what exists of this store for its reader, by which the cursors of others are recognized."""
        generation, identity = self._known_identity
        if not identity or generation != self.database.generation:
            generation = self.database.generation
            identity = await self._identity() or await self._new_identity()
            self._known_identity = generation, identity
        return " ".join([identity, *map(repr, sorted(self.visible_agents))])

    async def erase(self) -> None:
        """Waits until what was deleted can be read in no file any more; a database keeps it until it vacuums itself."""
        await self.database.erase()

    async def close(self) -> None:
        """Closes the file."""
        await self.database.close()

    @one_query
    def _identity(self, connection: Connection) -> str:
        rows = connection.rows(_IDENTITY)
        return str(rows[0][0]) if rows else ""

    @on_writer
    def _new_identity(self, connection: Connection) -> str:
        connection.insert("meta", ("name", "value"), [("identity", secrets.token_hex(8))], key=("name",))
        return str(connection.rows(_IDENTITY)[0][0])


def read_owners(where: Path | str, *, with_others: bool) -> list[tuple[Path | str, Owner]]:
    """The accounts in a file or a database, each with where it is.

    `with_others`: also in the other files of the folder, if this one has no account.

    Raises:
        ConfigurationError, StoreError: the database cannot be used; a file that cannot be read has no account.
    """
    if isinstance(where, str):
        return [(where, owner) for owner in _postgres().read_owners(where)]
    paths = [where]
    if with_others and read_owner(where) is None:
        paths += sorted(where.parent.glob("*.sqlite"))
    return [(path, owner) for path in paths if (owner := read_owner(path))]


def inspect_database(address: str) -> list[StoreFacts]:
    """The accounts in a database, without creating or migrating anything.

    Raises:
        ConfigurationError, StoreError: the database cannot be used.
    """
    return _postgres().inspect(address)


def refusal_of_database(address: str) -> FormantError | None:
    """Why a server cannot use a database; None if it can. Nothing in it is changed."""
    try:
        return _postgres().refusal(address)
    except ConfigurationError as error:  # no driver
        return error


def ids_in(store: StoreFacts) -> list[str]:
    """The ids of all conversations of a store; none if it cannot be read."""
    if store.problem:
        return []
    return ids_in_file(store.where) if isinstance(store.where, Path) else _postgres().ids_of(store)


async def _open_database(where: Path | str | None, account: AccountKey) -> Database:
    if isinstance(where, str):
        return await _postgres().open(where, account)
    return await SqliteDatabase.open(where, account)


def _postgres() -> "type[PostgresDatabase]":
    """The other engine, imported only where it is used."""
    try:
        from formant_mcp.store.postgres.database import PostgresDatabase
    except ImportError:
        raise ConfigurationError(
            "FORMANT_STORE names a PostgreSQL database, whose driver is not installed.",
            with_extra("postgres"),
        ) from None
    return PostgresDatabase
