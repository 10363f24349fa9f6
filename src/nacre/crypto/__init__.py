"""Ciphers, MACs, key exchange methods, signatures, compression: no messages and no keys' formats.

Start at registry.py (every algorithm by name), then packets/, kex/ and signatures/.
Imports wire and errors; knows nothing of connections, proposals, files.
Internal: use nacre.algorithms to choose algorithms, nacre.generate to make keys.
Modules of one family are loaded when it is used: the start of a program depends on it.
Tests: tests/crypto, with the vectors of the RFCs, and against other implementations.
"""
