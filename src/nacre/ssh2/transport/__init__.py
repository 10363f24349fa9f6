"""Messages 1-49: identification, packets, negotiation, key exchange (RFC 4253)."""
