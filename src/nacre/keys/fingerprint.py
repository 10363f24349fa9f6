"""Fingerprints of public keys: what a human compares."""

from __future__ import annotations

import hashlib
from base64 import b64encode


def fingerprint(blob: bytes, hash_name: str = "sha256") -> str:
    """Return the fingerprint of the public key ``blob`` as OpenSSH writes it.

    ``MD5:aa:bb:…`` for ``md5`` (RFC 4716 section 4, with the name in front); for every other hash
    of ``hashlib`` its name, a colon and base64 without padding.

    :raises ValueError: for a hash that does not exist.
    """
    digest = hashlib.new(hash_name, blob, usedforsecurity=False).digest()
    if hash_name == "md5":
        return "MD5:" + digest.hex(":")
    return f"{hash_name.upper()}:{b64encode(digest).decode('ascii').rstrip('=')}"
