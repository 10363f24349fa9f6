"""``nacre who``: who is connected to the server."""
