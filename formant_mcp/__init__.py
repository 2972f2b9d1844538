"""MCP server that lets an AI assistant review a company's voice calls."""

__version__ = "0.2.0"
