"""The sample account behind `formant-mcp --demo`: invented calls, and the provider's API over them, no network."""
