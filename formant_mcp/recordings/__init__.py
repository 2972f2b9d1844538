"""Recordings on disk: saved unchanged into one folder, and measured there."""

from formant_mcp.recordings.folder import RecordingsFolder, SavedRecording
from formant_mcp.recordings.wav import AudioFigures

__all__ = ["AudioFigures", "RecordingsFolder", "SavedRecording"]
