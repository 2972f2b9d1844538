"""Pure: signals, phrases, comparisons, statistics."""
