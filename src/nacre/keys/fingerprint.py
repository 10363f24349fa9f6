"""Fingerprints of public keys, for people to compare."""

from __future__ import annotations

import hashlib
from base64 import b64encode


def fingerprint(blob: bytes, hash_name: str = "sha256") -> str:
    """Return the fingerprint of the public key ``blob`` as OpenSSH writes it.

    For ``md5`` it is ``MD5:aa:bb:…`` (RFC 4716 section 4, with the name in front); for every other
    hash of ``hashlib`` the hash's name, a colon and base64 without padding.

    :raises ValueError: the hash does not exist.
    """
    digest = hashlib.new(hash_name, blob, usedforsecurity=False).digest()
    if hash_name == "md5":
        return "MD5:" + digest.hex(":")
    return f"{hash_name.upper()}:{b64encode(digest).decode('ascii').rstrip('=')}"
