"""Queries: parses their arguments, loads what they need, and answers them from the store."""
