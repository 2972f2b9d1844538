"""Keeps the store in step with the provider, and knows what it does not know."""

from formant_mcp.sync.limited import LimitedSync
from formant_mcp.sync.sync import Sync

AnySync = Sync | LimitedSync

__all__ = ["AnySync", "LimitedSync", "Sync"]
