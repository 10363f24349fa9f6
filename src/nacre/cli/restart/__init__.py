"""``nacre restart``: start the server anew, without an end."""
