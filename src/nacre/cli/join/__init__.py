"""``nacre join``: type at the terminal of a session of the running server."""
