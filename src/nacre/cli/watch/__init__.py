"""``nacre watch``: show a session of the running server."""
