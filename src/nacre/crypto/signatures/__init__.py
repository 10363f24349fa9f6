"""Signatures, a module for each family, and the names of those with certificates.

Start at base.py (what all have in common).
Tests: tests/crypto/signatures.
"""
