"""The local store: the only place with SQL."""

from formant_mcp.store.engine import AccountKey
from formant_mcp.store.store import Store

__all__ = ["AccountKey", "Store"]
