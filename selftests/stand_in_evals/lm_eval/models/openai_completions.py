"""Nothing of it is used by name."""
