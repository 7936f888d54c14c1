"""External programs that are kept running between calls."""
