"""``nacre kill``: end connections of the server."""
