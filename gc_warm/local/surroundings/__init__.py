"""What workers find around them: a Python, packages, an environment."""
