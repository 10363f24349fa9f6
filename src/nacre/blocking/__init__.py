"""Floor 7: the same API without await."""
