"""What makes and opens encrypted packets: ciphers, MACs, compression.

Start at seal.py (what all have in common), then gcm.py.
Tests: tests/crypto/packets.
"""
