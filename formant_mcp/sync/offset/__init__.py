"""Lists that can be read from any row on."""
