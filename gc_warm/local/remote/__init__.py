"""What runs in other processes, started by path: imports nothing of ours."""
