"""The tools, in the order of the list."""

from typing import Any

from formant_mcp.server.tools.export_conversations import EXPORT_CONVERSATIONS
from formant_mcp.server.tools.find_calls_to_review import FIND_CALLS_TO_REVIEW
from formant_mcp.server.tools.find_changes import FIND_CHANGES
from formant_mcp.server.tools.find_phrases import FIND_PHRASES
from formant_mcp.server.tools.get_transcripts import GET_TRANSCRIPTS
from formant_mcp.server.tools.list_conversations import LIST_CONVERSATIONS
from formant_mcp.server.tools.save_recording import SAVE_RECORDING
from formant_mcp.server.tools.search_transcripts import SEARCH_TRANSCRIPTS
from formant_mcp.server.tools.summarize_results import SUMMARIZE_RESULTS
from formant_mcp.server.tools.tool import Tool

TOOLS: tuple[Tool[Any], ...] = (
    LIST_CONVERSATIONS,
    SEARCH_TRANSCRIPTS,
    GET_TRANSCRIPTS,
    SUMMARIZE_RESULTS,
    FIND_CALLS_TO_REVIEW,
    FIND_CHANGES,
    FIND_PHRASES,
    SAVE_RECORDING,
    EXPORT_CONVERSATIONS,
)
