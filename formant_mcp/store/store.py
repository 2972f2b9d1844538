"""The store as a whole: one file, and what can be done with it."""

import secrets
from pathlib import Path

from formant_mcp.store.aggregates import Aggregates
from formant_mcp.store.connection import Database
from formant_mcp.store.owner import AccountKey
from formant_mcp.store.reader import Reader
from formant_mcp.store.search import Search
from formant_mcp.store.sync_state import SyncState
from formant_mcp.store.writer import Due, Writer

_IDENTITY = "SELECT value FROM meta WHERE name = 'identity'"


class Store:
    """Everything known of one account.

    `path` None keeps it in memory. A file that holds another account's conversations is refused; `takes_over` lets a
    new key in. `due` says when a detail is to be read anew.

    Raises:
        StoreError: the file cannot be used. ConfigurationError: it belongs to another account.
    """

    def __init__(self, path: Path | None, account: AccountKey, due: Due, *, takes_over: bool = False) -> None:
        self._database = Database(path, account, takes_over=takes_over)
        self.path = path
        self.write = Writer(self._database, due)
        self.read = Reader(self._database)
        self.search = Search(self._database)
        self.figures = Aggregates(self._database)
        self.ledger = SyncState(self._database)

    @property
    def identity(self) -> str:
        """A name of its own for this store, so that a cursor of another one is recognized."""
        known = self._database.rows(_IDENTITY)
        if not known:
            self._database.run(
                "INSERT INTO meta VALUES ('identity', ?) ON CONFLICT (name) DO NOTHING", [secrets.token_hex(8)]
            )
            known = self._database.rows(_IDENTITY)
        return str(known[0][0])

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()
