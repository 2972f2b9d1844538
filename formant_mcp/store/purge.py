"""Deletes everything of an account, while servers may have its store open.

They must not restore anything: what is saved and was begun before is refused. Work that is begun notes the store's
mark, which each purge replaces, and hands it to every change that it makes.
"""

from contextvars import ContextVar

from formant_mcp.errors import StoreError
from formant_mcp.store.engine import TABLES, TO_ERASE, TO_VACUUM, Connection, OnDatabase, on_writer, one_query
from formant_mcp.store.meta import CALLS, note_change, read_text
from formant_mcp.store.rows import whole

_MARK = "purged"
_KEPT = ("account", "service", TO_ERASE, TO_VACUUM)
_DELETED_AT_ONCE = 1_000  # conversations in a transaction, where each holds up other writers
_OF_CONVERSATIONS = ("turns", "result_values", "unreadable", "signals", "phrases", "conversations")
_begun_with: ContextVar[str | None] = ContextVar("the mark when the work began", default=None)


class Purge(OnDatabase):
    """Deletes the account's rows, but not whose store it is: a server that has it open may save into it again."""

    async def note_begin(self) -> None:
        """The work of this task, and of tasks that it starts, may no longer change the store after a purge."""
        _begun_with.set(await self.mark())

    @one_query
    def mark(self, connection: Connection) -> str:
        """The mark of the last purge; '' if there was none."""
        return read_text(connection, _MARK)

    @one_query
    def is_unused(self, connection: Connection) -> bool:
        """Whether nothing has come from the provider yet, as with a key that it refuses, and there is no member."""
        (row,) = connection.rows(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM $conversations LIMIT 1) AS first),"
            " (SELECT count(*) FROM $members), (SELECT count(checked_at) FROM $list_states)"
        )
        return not any(row)

    async def everything(self) -> None:
        """Deletes all of it, some at once, and leaves no free pages with it."""
        while await self._some():
            pass
        await self._rest()
        await self.database.erase()

    @on_writer
    def _some(self, connection: Connection) -> int:
        """Deletes some conversations, unless a change may take long here anyway; returns how many."""
        if connection.deletes_at_once:
            return 0
        rows = connection.rows(f"SELECT row_id FROM $conversations LIMIT {_DELETED_AT_ONCE}")
        row_ids = [whole(row[0]) for row in rows]
        for table in _OF_CONVERSATIONS if row_ids else ():
            connection.delete(table, "row_id $in_list", [(row_ids,)])
        if row_ids:
            note_change(connection, _MARK)
            note_change(connection, CALLS)
        return len(row_ids)

    @on_writer
    def _rest(self, connection: Connection) -> None:
        """Deletes what is left, with all that says how far it is loaded."""
        for table in TABLES:
            connection.delete(table, f"name NOT IN {_KEPT}" if table == "meta" else "true", [()])
        connection.delete_all_words()
        note_change(connection, _MARK)
        note_change(connection, CALLS)


def begun_with() -> str | None:
    """The mark that the work of this task began with; None: it is not limited."""
    return _begun_with.get()


def refuse_if_purged(connection: Connection, mark: str | None) -> None:
    """Refuses a change by work that began with another mark.

    Raises:
        StoreError: the store was purged since.
    """
    if mark is not None and mark != read_text(connection, _MARK):
        raise StoreError("The stored calls were deleted by `formant-mcp purge`.", "Ask again to load them again.")
