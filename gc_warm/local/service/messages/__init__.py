"""What goes through the message broker, whichever it is: tasks, commands, results, heartbeats."""
