"""What travels to a worker: the standard library and `gc_warm.errors` only."""
