"""An empty store, migrated once and copied: to create all tables and indexes takes longer than most tests."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from threading import Lock

from formant_mcp.store.sqlite.schema import migrate

_STATE = "SELECT user_version, (SELECT count(*) FROM sqlite_master) FROM pragma_user_version"


class EmptyStore:
    """`copy_or_migrate` does what `migrate` does, for new stores by copying the one that is `migrated`."""

    def __init__(self, migrated: sqlite3.Connection) -> None:
        self._migrated = migrated
        self._lock = Lock()

    def copy_or_migrate(self, database: sqlite3.Connection) -> None:
        """Makes it a store of this version, whatever it is."""
        with self._lock:
            version, tables = database.execute(_STATE).fetchone()
            if not version and not tables:
                self._migrated.backup(database)
        migrate(database)


@contextmanager
def empty_store() -> Generator[EmptyStore]:
    """A store in memory that has no calls."""
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as database:
        migrate(database)
        yield EmptyStore(database)
