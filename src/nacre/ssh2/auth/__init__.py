"""Messages 50-79: user authentication (RFC 4252, RFC 4256)."""
