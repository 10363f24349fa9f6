"""Fingerprints, pictures and the usual names of public keys, for people."""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from functools import lru_cache

from nacre.crypto.signatures.certified import plain

_WIDTH, _HEIGHT = 17, 9
_MARKS = " .o+=*BOX@%&#/^"
_START, _END = "S", "E"

_VOWELS, _CONSONANTS = "aeiouy", "bcdfghklmnprstvzx"


_FAMILIES = {
    "ssh-ed25519": "ED25519",
    "sk-ssh-ed25519@openssh.com": "ED25519-SK",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA-SK",
    "ssh-ed448": "ED448",
    "ssh-mldsa44-ed25519@openssh.com": "MLDSA44-ED25519",
    "ssh-rsa": "RSA",
    "ssh-dss": "DSA",
    "rsa1": "RSA1",
}


@lru_cache(64)
def family(key_type: str) -> str:
    """Return the usual name of a key type, such as ``ED25519`` or ``ED25519-CERT``."""
    bare = plain(key_type)
    name = _FAMILIES.get(bare, "ECDSA" if bare.startswith("ecdsa-") else bare)
    return name if bare == key_type else f"{name}-CERT"


def fingerprint(blob: bytes, hash_name: str = "sha256") -> str:
    """Return the fingerprint of the public key ``blob`` as OpenSSH writes it.

    For ``md5`` it is ``MD5:aa:bb:…`` (RFC 4716 section 4, with the name in front); for every other
    hash of ``hashlib`` the hash's name, a colon and base64 without padding.

    :raises ValueError: the hash does not exist.
    """
    digest = hashlib.new(hash_name, blob, usedforsecurity=False).digest()
    if hash_name == "md5":
        return "MD5:" + digest.hex(":")
    return f"{hash_name.upper()}:{b2a_base64(digest, newline=False).decode('ascii').rstrip('=')}"


def bubblebabble(blob: bytes) -> str:
    """Return the SHA-1 hash of the public key ``blob`` as words that can be read aloud.

    Each word has two bytes and a checksum of those before it: the encoding BubbleBabble.
    """
    digest = hashlib.sha1(blob, usedforsecurity=False).digest()
    text, checksum = "x", 1
    for first, second in zip(digest[::2], digest[1::2], strict=True):
        text += _babble((first >> 6) + checksum, first >> 2, (first & 3) + checksum // 6)
        text += f"{_CONSONANTS[second >> 4]}-{_CONSONANTS[second & 15]}"
        checksum = (checksum * 5 + first * 7 + second) % 36
    # As the number of bytes is even, the last word has the checksum alone.
    return text + _VOWELS[checksum % 6] + "x" + _VOWELS[checksum // 6] + "x"


def _babble(vowel: int, consonant: int, last: int) -> str:
    return _VOWELS[vowel % 6] + _CONSONANTS[consonant & 15] + _VOWELS[last % 6]


def randomart(blob: bytes, title: str, hash_name: str = "sha256") -> str:
    """Return the picture of a key that ``ssh-keygen -lv`` shows, as lines.

    A point walks over a field from its middle: two bits of the hash are one diagonal step, and a
    mark tells how often a place was visited (``sshkey_fingerprint(3)`` of OpenSSH).

    :param blob: the public key.
    :param title: what stands in the upper border, such as ``ED25519 256``. If that is too long,
        only its first word does.
    :raises ValueError: the hash does not exist.
    """
    visits = [[0] * _WIDTH for _ in range(_HEIGHT)]
    x, y = _WIDTH // 2, _HEIGHT // 2
    for byte in hashlib.new(hash_name, blob, usedforsecurity=False).digest():
        for shift in (0, 2, 4, 6):
            step = byte >> shift
            x = min(max(x + (1 if step & 1 else -1), 0), _WIDTH - 1)
            y = min(max(y + (1 if step & 2 else -1), 0), _HEIGHT - 1)
            visits[y][x] += 1
    lines = [[_MARKS[min(count, len(_MARKS) - 1)] for count in row] for row in visits]
    lines[_HEIGHT // 2][_WIDTH // 2] = _START
    lines[y][x] = _END
    if len(title) > _WIDTH - 2:
        title = title.partition(" ")[0]
    top, bottom = (f"[{text}]"[:_WIDTH] for text in (title, hash_name.upper()))
    return "\n".join(
        [
            _border(top),
            *(f"|{''.join(line)}|" for line in lines),
            _border(bottom),
        ]
    )


def _border(text: str) -> str:
    left = (_WIDTH - len(text)) // 2
    return f"+{'-' * left}{text}{'-' * (_WIDTH - left - len(text))}+"
