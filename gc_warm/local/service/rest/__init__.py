"""The services over HTTP: Globus Compute, and Globus Auth."""
