"""How long calls are kept: what is older is neither saved nor left in any table."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from formant_mcp.filters import LABELLED
from formant_mcp.models import Conversation
from formant_mcp.store.engine import Connection, OnDatabase, on_writer, one_query
from formant_mcp.store.filter_sql import milliseconds
from formant_mcp.store.meta import write_text
from formant_mcp.store.rows import moment
from formant_mcp.store.sync_state import list_states_in, write_state
from formant_mcp.store.vocabulary import UNUSED, said
from formant_mcp.store.writer import delete_conversations

_HOUR = timedelta(hours=1)
_DELETED_AT_ONCE = 100  # conversations in a transaction
_CHECKED_AT_ONCE = 50  # words in a transaction: to check one may take some milliseconds
_IS_OLDER = "(started_at < ? OR (started_at IS NULL AND ended_at < ?))"


class Retention(OnDatabase):
    """Deletes what started longer ago than `span`; None: everything is kept.

    A call without a start is as old as its end; one without either has no age, and stays as long as it is listed.
    """

    span: timedelta | None = None

    def kept_from(self, now: datetime) -> datetime | None:
        """Since when calls are kept, to the hour before; None: since ever."""
        if self.span is None:
            return None
        return (now - self.span).replace(minute=0, second=0, microsecond=0)

    def is_expired(self, conversation: Conversation, now: datetime) -> bool:
        """Whether a call is too old to be kept."""
        kept_from, at = self.kept_from(now), conversation.started_at or conversation.ended_at
        return kept_from is not None and at is not None and at < kept_from

    @one_query
    def expired(self, connection: Connection, kept_from: datetime) -> list[str]:
        """The ids of some calls that are too old; none if there are none."""
        at = milliseconds(kept_from)
        rows = connection.rows(
            f"SELECT conversation_id FROM $conversations WHERE {_IS_OLDER} LIMIT {_DELETED_AT_ONCE}", [at, at]
        )
        return [str(row[0]) for row in rows]

    @on_writer
    def delete(self, connection: Connection, conversation_ids: Sequence[str], kept_from: datetime) -> None:
        """Deletes these calls, and notes of each list that it is no longer stored from before then."""
        rows = connection.rows(
            "SELECT agent_id, started_at FROM $conversations WHERE conversation_id $in_list", [list(conversation_ids)]
        )
        starts = [(str(agent_id or ""), moment(started_at)) for agent_id, started_at in rows]
        for state in list_states_in(connection):
            if not state.is_complete and state.covered_from is None:
                continue
            in_part = [
                agent
                for agent, at in starts
                if state.name in ("", agent) and (state.covered_from is None or (at and at >= state.covered_from))
            ]
            later = replace(
                state,
                covered_from=max(kept_from, state.covered_from or kept_from),
                expected_excess=state.expected_excess + len(in_part),
            )
            if in_part and not state.is_complete:  # a scan under way has passed them: it would take them for stored
                later = replace(later, scan_started_at=None, scan_position=0, scan_total=None, scan_cursor=None)
            write_state(connection, state, later)
        delete_conversations(connection, "conversation_id $in_list", [list(conversation_ids)])
        write_text(connection, UNUSED, "")

    @on_writer
    def drop_unused(self, connection: Connection, kept_from: datetime) -> bool:
        """Deletes some of the words, labels and counts that no call has any more; False: there are no more to check."""
        after = connection.rows("SELECT value FROM $meta WHERE name = ?", [UNUSED])
        if not after:
            return False
        words = connection.rows(
            f"SELECT word FROM $words WHERE word > ? ORDER BY word LIMIT {_CHECKED_AT_ONCE}", [str(after[0][0])]
        )
        checked = [str(row[0]) for row in words]
        if unused := set(checked).difference(said(connection, checked)):
            connection.delete("words", "word = ?", [(word,) for word in sorted(unused)])
        if len(words) == _CHECKED_AT_ONCE:
            write_text(connection, UNUSED, str(words[-1][0]))
            return True
        connection.drop_unsaid()
        used = " UNION ".join(f"SELECT {name} FROM $conversations WHERE {name} IS NOT NULL" for name in LABELLED)
        labels = connection.rows(f"SELECT text FROM $labels WHERE text NOT IN ({used})")
        if labels:
            connection.delete("labels", "text = ?", [(str(row[0]),) for row in labels])
        for table in ("agents", "daily_counts"):
            connection.delete(table, "count <= 0", [()])
        # Their names may have what somebody filtered by.
        connection.delete("list_states", "name <> '' AND checked_at < ?", [(milliseconds(kept_from),)])
        connection.delete("meta", "name = ?", [(UNUSED,)])
        return False
