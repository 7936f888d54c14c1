"""Globus Compute and Globus Auth over HTTP."""
