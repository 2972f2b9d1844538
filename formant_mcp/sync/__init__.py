"""Keeps the store in step with the provider, and knows what it does not know."""

from formant_mcp.sync.sync import Sync

__all__ = ["Sync"]
