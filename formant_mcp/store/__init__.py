"""The local store: the only place with SQL."""

from formant_mcp.store.owner import Account
from formant_mcp.store.store import Store

__all__ = ["Account", "Store"]
