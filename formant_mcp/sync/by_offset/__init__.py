"""Lists that can be read from any row on: pages side by side, overlapping, held against the total."""
