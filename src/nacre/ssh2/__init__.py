"""The SSH-2 engine, for both roles: bytes and answers in, events and bytes out. No I/O.

Start at engine.py, which opens with the theory of operation, then client.py and server.py, then
routes.py (stages as tables).
Then transport/ (packets, key exchange), auth/ (authentication), connection/ (channels).
Imports protocol, keys, crypto, wire; knows nothing of sockets, files, SSH-1.
Internal: use nacre.connect and nacre.listen; in tests, nacre.testing.Pair.
Tests: tests/ssh2; peers that break the rules: tests/attacks; calls per packet: tests/bench.
"""
