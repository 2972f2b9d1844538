"""The sample account of `formant-mcp --demo`: invented calls, served by the provider's API in this process."""
