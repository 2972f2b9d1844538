"""Lists whose pages hang on each other: read back in time window by window, and whole from cursor to cursor."""
