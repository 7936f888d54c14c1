"""Our own worker processes, forked from one that starts clean."""
