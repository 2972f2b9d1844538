"""The providers' APIs, each behind `formant_mcp.providers.base`."""
