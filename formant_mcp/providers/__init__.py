"""The providers' APIs, each with the interface of `formant_mcp.providers.base`."""
