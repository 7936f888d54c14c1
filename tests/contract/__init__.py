"""A package, so that its fixtures end with its last test: others want port 5000, too."""
