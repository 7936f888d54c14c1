"""What goes through any message broker: tasks, commands, results, heartbeats."""
