"""What runs in other processes: started by path, it imports nothing of ours but itself."""
