"""The SSH-1 engine, protocol version 1.5, for both roles (draft-ylonen-ssh-protocol-00).

SSH-1 is off unless asked for: its CRC-32 does not protect integrity, its ciphers are old. It is
there for devices that speak nothing else. It has its own package because packets, key exchange and
channels have nothing in common with SSH-2's: no windows, one session, a public server key.
Start at engine.py, then routes.py, framing.py, kex.py, auth.py; client.py and server.py have the
channels and requests of each role.
Imports protocol, keys, crypto, wire; knows nothing of sockets, files, SSH-2.
Internal: use nacre.connect(protocols=(2, 1)) and nacre.listen.
Tests: tests/ssh1, with transcripts; tests/attacks/test_ssh1; tests/interop with PuTTY.
"""
