"""Ready-to-register functions, written with gc-warm's public names only."""
