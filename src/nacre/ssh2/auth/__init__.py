"""Messages 50-79: user authentication, both roles (RFC 4252, RFC 4256).

Start at attempt.py (a method is a generator), then one method, publickey.py, then client.py and
server.py, which choose methods; stages.py has the legal messages.
Imports protocol, keys, wire and the outbox; knows nothing of key exchange and channels.
Internal: reached through nacre.ssh2.engine; decisions are questions of nacre.protocol.asks.
Tests: tests/ssh2/auth; tests/attacks/test_authentication.
"""
