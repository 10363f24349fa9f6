"""``nacre log``: follow the log of the server."""
