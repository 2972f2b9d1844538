"""Members of a team, who share one server over HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """Whoever sent a request. `agents`: the only agents whose conversations exist for them; empty: all of them."""

    name: str
    agents: frozenset[str] = frozenset()
