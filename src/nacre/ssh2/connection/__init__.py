"""Messages 80-127: channels and requests (RFC 4254)."""
