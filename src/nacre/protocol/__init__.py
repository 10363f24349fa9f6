"""Floor 4: what any engine says."""
