"""Floor 7: what a client for people needs."""
