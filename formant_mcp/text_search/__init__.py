"""Words, queries and highlights: pure, without SQL."""
