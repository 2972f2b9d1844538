"""Members of a team, who share one server over HTTP."""

from dataclasses import dataclass

TOKEN_PREFIX = "fmcp_"  # noqa: S105 - no secret, every token begins with it
"""What every token begins with that `formant-mcp token add` makes."""


@dataclass(frozen=True, slots=True)
class Member:
    """Whoever sent a request. `agents`: the only agents whose conversations exist for them; empty: all of them.

    `redacts`: kinds of identifiers that are hidden from them, in addition to those hidden from everybody.
    """

    name: str
    agents: frozenset[str] = frozenset()
    redacts: frozenset[str] = frozenset()
