"""Methods of key exchange.

Start at method.py (what all have in common), then dh.py, ecdh.py and pq.py.
Tests: tests/crypto/kex.
"""
