"""What exists for a reader who may see only some agents: the rows of these agents' conversations."""

from collections.abc import Callable
from dataclasses import dataclass

ALL_AGENTS = frozenset[str]()
"""The agents of a reader who may see all of them."""

_SHARED = ("meta", "words", "labels", "zones", "list_states", "leases", "members")
# Words and labels are those of the whole account: a reader is only shown one that occurs in a conversation.


@dataclass(frozen=True, slots=True)
class Limit:
    """Conditions for an engine's tables. A conversation without an agent exists for no such reader.

    `conversations`: the engine's table, as `visible`; `literal`: a text in SQL, from its UTF-8 in hex, so that nothing
    in an id is ever read as SQL.
    """

    agents: frozenset[str]
    conversations: str
    literal: Callable[[str], str]

    def of_tables(self, turn_row: str) -> dict[str, str]:
        """The condition on the rows of each table; `turn_row`: the row of a turn."""
        return {
            **dict.fromkeys(_SHARED, "true"),
            **dict.fromkeys(("conversations", "agents", "daily_counts"), self._is_theirs),
            "turns": self.of_row(turn_row),
            "result_values": self.of_row("result_values.row_id"),
            "unreadable": self.of_row("unreadable.row_id"),
            "signals": self.of_row("signals.row_id"),
            "phrases": self.of_row("phrases.row_id"),
        }

    def of_row(self, row: str) -> str:
        """Whether the conversation with that row is one of theirs."""
        return f"EXISTS (SELECT 1 FROM {self.conversations} WHERE visible.row_id = {row} AND visible.{self._is_theirs})"

    @property
    def _is_theirs(self) -> str:
        texts = (self.literal(agent.encode().hex()) for agent in sorted(self.agents) if _is_storable(agent))
        return f"agent_id IN ({', '.join(texts) or 'NULL'})"


def _is_storable(agent: str) -> bool:
    """Whether a conversation can have this agent; '' is what counts have for conversations without one."""
    return agent != "" and "\0" not in agent and not any("\ud800" <= character <= "\udfff" for character in agent)
