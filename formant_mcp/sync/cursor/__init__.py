"""Lists whose pages each name the next."""
