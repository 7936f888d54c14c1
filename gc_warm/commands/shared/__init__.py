"""What several commands use: options, ways to end, ways to show, a service with an endpoint."""
