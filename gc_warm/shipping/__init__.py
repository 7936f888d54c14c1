"""Making a function self-contained, on the client."""
