"""Argon2 (RFC 9106), the key derivation of PuTTY's key files."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2d, Argon2i, Argon2id

from nacre.errors import KeyFormatError

VARIANTS: dict[str, type[Argon2id | Argon2i | Argon2d]] = {
    "Argon2id": Argon2id,
    "Argon2i": Argon2i,
    "Argon2d": Argon2d,
}

MAXIMUM_MEMORY = 1 << 20
"""The most memory in KiB, 1 GiB; PuTTY writes 8192."""

MAXIMUM_WORK = 1 << 22
"""The largest product of the memory in KiB and the passes, some seconds."""

MAXIMUM_LANES = 64


def argon2(
    variant: str, passphrase: bytes, salt: bytes, size: int, *, memory: int, passes: int, lanes: int
) -> bytes:
    """Return ``size`` bytes of key material.

    :param variant: one of :data:`VARIANTS`.
    :param memory: in KiB.
    :raises KeyFormatError: the variant does not exist, or the costs are out of bounds.
    """
    make = VARIANTS.get(variant)
    if make is None:
        raise KeyFormatError(f"the private key's key derivation is not {', '.join(VARIANTS)}")
    if memory > MAXIMUM_MEMORY or memory * passes > MAXIMUM_WORK or lanes > MAXIMUM_LANES:
        raise KeyFormatError(
            f"the private key's key derivation is too expensive: Argon2 with {memory} KiB, "
            f"{passes} passes and {lanes} lanes; accepted are {MAXIMUM_MEMORY} KiB, "
            f"{MAXIMUM_LANES} lanes, and {MAXIMUM_WORK} KiB times passes"
        )
    try:
        kdf = make(salt=salt, length=size, iterations=passes, lanes=lanes, memory_cost=memory)
        return kdf.derive(passphrase)
    except UnsupportedAlgorithm:
        raise KeyFormatError("the installed cryptography library has no Argon2") from None
    except (ValueError, OverflowError):
        raise KeyFormatError(
            "the private key is damaged: its Argon2 has less memory, passes, lanes or salt than "
            "RFC 9106 allows"
        ) from None
