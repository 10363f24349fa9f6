"""Messages 1-49: packets, negotiation, key exchange (RFC 4253, RFC 4419, RFC 5656, RFC 8308).

Start at framing.py (input) and outbox.py (output), then negotiate.py, kex.py, keys.py.
Imports protocol, keys, crypto, wire; knows nothing of authentication and channels.
Internal: reached through nacre.ssh2.engine.
Tests: tests/ssh2/transport; tests/attacks/test_key_exchange and test_terrapin.
"""
