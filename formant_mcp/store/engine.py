"""What a database engine provides to the store, which never names one.

Queries are written once, as `string.Template`s: `$conversations` is the engine's expression for that table, which has
the rows of one account, and a few more names are what engines spell differently (see Connection). Values are `?`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from formant_mcp.errors import ConfigurationError
from formant_mcp.filters import Role
from formant_mcp.store.limits import ALL_AGENTS
from formant_mcp.text_search.query import Expression, Term

Value = str | int | float | None
Parameter = Value | Sequence[str] | Sequence[int]
"""A value, or a list for `$in_list` and `$each_…`."""

Forms = Callable[[Term], Iterable[str]]
"""The word forms that match a term."""

TABLES = (
    "meta",
    "conversations",
    "turns",
    "words",
    "labels",
    "result_values",
    "unreadable",
    "signals",
    "phrases",
    "agents",
    "zones",
    "daily_counts",
    "list_states",
    "leases",
    "members",
)

TO_ERASE = "to_erase"
"""The name, in the table meta of a file, of what changes with every deletion until it is erased from the file."""
TO_VACUUM = "to_vacuum"
"""The same, where the file must be rewritten for that, or to take less space."""

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class AccountKey:
    """An account in a store: hashes of provider and address (`service`), and of these with the key (`key`).

    `verified_by`: a key that the store has already, of the account that the provider showed this new key to be of.
    """

    service: str
    key: str
    verified_by: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """An account that a store has: the service, the keys that may read it, and the ids of a few conversations in it."""

    service: str
    keys: frozenset[str]
    sample: tuple[str, ...]


SAMPLE_AGES = (0, 1 / 2, 1, 1 / 4, 3 / 4, 1 / 8)
"""Which conversations an Owner has, as positions in the list: some may have been deleted at the provider."""


class Connection(Protocol):
    """A connection to the store of one account, in a transaction; used by one thread at a time.

    Besides TABLES (`$conversations`, and `$conversations_as c` under another name), templates may use:
    - `$measured_as`: before another name, the signals, where it does not matter whether those of calls of which nothing
      is measured are among them
    - `$in_list`: after a column, whether it is in a list, which is one parameter
    - `$each_text`, `$each_number`: a table `each` with the column `value`, of a list, which is one parameter;
      `$each_in_order`: of numbers, also with their `place`, the first 0
    - `$fold`: before a column or value in parentheses that compares without case
    - `$exact`: after a column that is grouped by, so that it compares with case
    - `$join`: joins a table to the one before it, in this order
    - `$by_agent`, `$by_transcript`: after `$conversations`, the index to use
    - `$hits`, `$is_hit`, `$hit_turn`, `$hit_row`: a table of turns; whether a turn has a match (one parameter), its key
      and its row
    - `$says`: as `$is_hit`, of a hit that is found by its row
    - `$if_many`: before a condition that narrows the hits, where it helps only if there are so many (parameters: the
      number, that of `$is_hit`, the number)
    - `$turn_row`: the row of a turn; `$turn_in_value`, `$hit_in_value`: whether a turn's, or a hit's, row is `value`

    Raises (from every method):
        StoreError: full disk, locked, or not usable.
    """

    def rows(self, template: str, parameters: Sequence[Parameter] = ()) -> list[tuple[Value, ...]]:
        """All rows of one query."""
        ...

    def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Value]],
        key: Sequence[str] = (),
        update: str = "",
    ) -> None:
        """Inserts rows; those whose `key` exists update that row instead, or nothing."""
        ...

    def update(self, table: str, changes: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Changes what meets the condition, once for each row of parameters."""
        ...

    def update_rows(self, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Value]]) -> None:
        """Changes these columns of stored rows, which the key names: the last value of each row."""
        ...

    def delete(self, table: str, condition: str, rows: Sequence[Sequence[Parameter]]) -> None:
        """Deletes what meets the condition, once for each row of parameters."""
        ...

    def insert_turns(self, turns: Sequence["StoredTurn"], indexed: Sequence[str]) -> None:
        """Inserts turns, each transcript as a whole, and the words they are found by: `indexed`, their texts as
        `indexable` returns them. New words are added to the account's."""
        ...

    def delete_turns(self, turns: Sequence["StoredTurn"]) -> None:
        """Deletes turns, each transcript as a whole; they must be given as they are stored."""
        ...

    @property
    def deletes_at_once(self) -> bool:
        """Whether everything may be deleted in one transaction: nobody else waits for it for long."""
        ...

    def delete_all_words(self) -> None:
        """Deletes what turns are found by, with the last turns of the account."""
        ...

    def drop_unsaid(self) -> None:
        """Drops what is counted of words that no turn has any more."""
        ...

    def match(self, expression: Expression, role: Role, forms: Forms, without: str = "") -> str:
        """The parameter of `$is_hit` for turns of that role that match the expression; `without`: that of turns that
        do not count."""
        ...

    def counted(self, expression: Expression, role: Role, forms: Forms) -> tuple[int, int] | None:
        """How many turns match, of how many conversations, where that is stored; None where it must be counted."""
        ...

    @property
    def hits_per_probe(self) -> int:
        """How many hits are counted in the time that it takes to see whether one conversation has any."""
        ...

    @property
    def hits_to_find(self) -> int:
        """How many hits of a word are counted to know whether there is any."""
        ...

    @property
    def tried_first(self) -> int:
        """How many calls are tried first for a page that meets conditions, before all are; 0: all at once."""
        ...

    def milliseconds(self, now: int) -> int:
        """The time that all who share the store go by; `now`: this machine's."""
        ...

    def claim(self) -> None:
        """Makes a new store this account's, before the provider's first data is saved."""
        ...


StoredTurn = tuple[int, str, str, float | None]
"""A turn's key, role, text and seconds."""


class Database(Protocol):
    """The store's database.

    Raises (from every method):
        StoreError: it cannot be used. ConfigurationError: it is another account's.
    """

    @property
    def generation(self) -> int:
        """How often it was replaced by an empty one."""
        ...

    async def read(
        self, work: Callable[[Connection], T], agents: frozenset[str] = ALL_AGENTS, *, is_one_query: bool = False
    ) -> T:
        """Runs work that only reads, in one transaction; stops it if the caller is cancelled.

        `agents`: the only ones whose conversations exist for it. `is_one_query`: the work runs no second query, so it
        may do without a transaction.
        """
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Runs work in one transaction, to its end even if the caller is cancelled."""
        ...

    async def erase(self) -> None:
        """Waits until what was deleted is erased, as far as the engine can do that."""
        ...

    async def close(self) -> None:
        """Closes it."""
        ...


def another_account() -> ConfigurationError:
    """The error for a store with another account's conversations."""
    return ConfigurationError(
        "FORMANT_STORE names the store of another account (another provider, address or key).",
        "Give each account a path of its own, or unset FORMANT_STORE.",
    )


class OnDatabase:
    """Base of the classes that query a database. `agents`: the only ones whose conversations exist for its readers."""

    def __init__(self, database: Database, agents: frozenset[str] = ALL_AGENTS) -> None:
        self.database = database
        self.visible_agents = agents


S = TypeVar("S", bound=OnDatabase)


def on_reader(
    method: Callable[Concatenate[S, Connection, P], T],
) -> Callable[Concatenate[S, P], Coroutine[None, None, T]]:
    """Runs a method on a thread that reads, in one transaction."""

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.read(
            lambda connection: method(self, connection, *args, **kwargs), self.visible_agents
        )

    return run


def one_query(
    method: Callable[Concatenate[S, Connection, P], T],
) -> Callable[Concatenate[S, P], Coroutine[None, None, T]]:
    """Runs a method on a thread that reads; it runs one query at most."""

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.read(
            lambda connection: method(self, connection, *args, **kwargs), self.visible_agents, is_one_query=True
        )

    return run


def on_writer(
    method: Callable[Concatenate[S, Connection, P], T],
) -> Callable[Concatenate[S, P], Coroutine[None, None, T]]:
    """Runs a method on the thread that writes, in one transaction."""

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.write(lambda connection: method(self, connection, *args, **kwargs))

    return run


LEFT_AFTER_SECONDS = 3.0
"""How long a cancelled caller waits for a change, which goes on in the background: its database may not answer."""


async def to_its_end(job: asyncio.Future[T], seconds: float | None = None) -> T:
    """Waits for a job to end, even if the caller is cancelled; the cancellation is raised afterwards.

    `seconds`: for how long at most a cancelled caller waits; the job goes on.
    """
    try:
        await asyncio.wait([job])
    except asyncio.CancelledError:
        until = None if seconds is None else time.monotonic() + seconds
        while not job.done() and (until is None or time.monotonic() < until):
            with suppress(asyncio.CancelledError):
                await asyncio.wait([job], timeout=until and until - time.monotonic())
        job.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody waits for it any more
        raise
    return job.result()
