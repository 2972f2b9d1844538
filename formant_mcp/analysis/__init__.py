"""Pure: signals, phrases, comparisons, statistics. No I/O except the package's own data files, and no SQL."""
