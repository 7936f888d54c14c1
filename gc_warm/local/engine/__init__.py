"""A real endpoint engine, in a process of its own."""
