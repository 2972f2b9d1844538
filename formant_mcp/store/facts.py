"""What can be said of a store without opening it to write."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """One account's store. `name`: what commands call it; `where`: its file, or the database's address, where `account`
    is its number.

    `is_ours`: whether it is certain that this program wrote it, though it may not be readable any more.
    `service`, `keys`: hashes, see AccountKey; `loaded`: conversations with details; `version`: of its schema, `newest`
    this program's. `has_to_erase`: what was deleted can still be read in the file, which may have to be rewritten for
    that (`has_to_rewrite`). `problem`: why it cannot be read, or used; '' if it can.
    """

    name: str
    where: Path | str
    account: int = 0
    is_ours: bool = True
    service: str = ""
    keys: frozenset[str] = frozenset()
    conversations: int = 0
    loaded: int = 0
    members: int = 0
    bytes: int = 0
    last_used_at: datetime | None = None
    version: int = 0
    newest: int = 0
    has_to_erase: bool = False
    has_to_rewrite: bool = False
    problem: str = ""
