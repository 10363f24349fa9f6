"""``nacre top``: a live table of what the connections of the server do."""
