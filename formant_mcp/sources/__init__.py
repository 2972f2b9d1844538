"""The providers' APIs, each behind `formant_mcp.source`."""
