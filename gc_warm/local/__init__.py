"""Everything offline: the same executor, without the cloud."""
