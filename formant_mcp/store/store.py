"""The store as a whole: one file, and what can be done with it."""

import secrets
from pathlib import Path

from formant_mcp.errors import ConfigurationError
from formant_mcp.store.database import Database
from formant_mcp.store.ledger import Ledger
from formant_mcp.store.reading import Reading
from formant_mcp.store.writing import Due, Writing


class Store:
    """Everything known of one account.

    `path` None keeps it in memory. `account` names the account without giving its key away: a file that holds another
    one's conversations is refused. `due` says when a detail is to be read anew.

    Raises:
        StoreError: the file cannot be used. ConfigurationError: it belongs to another account.
    """

    def __init__(self, path: Path | None, account: str, due: Due) -> None:
        self._database = Database(path)
        self.path = path
        self.write = Writing(self._database, due)
        self.read = Reading(self._database)
        self.ledger = Ledger(self._database)
        if self._once("account", account) != account:
            self.close()
            raise ConfigurationError(
                "FORMANT_STORE names the store of another account (another provider, address or key).",
                "Give each account a path of its own, or unset FORMANT_STORE.",
            )

    @property
    def identity(self) -> str:
        """A name of its own for this store, so that a cursor of another one is recognized."""
        return self._once("identity", secrets.token_hex(8))

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()

    def _once(self, name: str, value: str) -> str:
        self._database.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO NOTHING", [name, value])
        return str(self._database.rows("SELECT value FROM meta WHERE name = ?", [name])[0][0])
