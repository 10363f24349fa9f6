"""Floor 7: what a server for operators needs."""
