"""Recordings on disk: saved unchanged into one folder, and measured there."""

from formant_mcp.recordings.folder import RecordingsFolder, SavedRecording
from formant_mcp.recordings.wav import WavFigures, read_figures

__all__ = ["RecordingsFolder", "SavedRecording", "WavFigures", "read_figures"]
