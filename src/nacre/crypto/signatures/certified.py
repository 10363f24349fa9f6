"""The names that certificates have: of their types, and of the algorithms that use them.

OpenSSH's ``PROTOCOL.certkeys`` puts ``-cert-v01@openssh.com`` behind the name of the plain key's
type or of the signature algorithm.
"""

from __future__ import annotations

from functools import lru_cache

SUFFIX = "-cert-v01@openssh.com"

_VENDOR = "@openssh.com"
_OF_VENDOR = ("sk-", "webauthn-sk-", "ssh-mldsa44-")


def certified(name: str) -> str:
    """Return the name of a type or a signature algorithm where a certificate is used."""
    return name.removesuffix(_VENDOR) + SUFFIX


def plain(name: str) -> str:
    """Return the name of the plain type or algorithm; one that is plain is returned unchanged."""
    if not name.endswith(SUFFIX):
        return name
    bare = name.removesuffix(SUFFIX)
    return bare + _VENDOR if bare.startswith(_OF_VENDOR) else bare


@lru_cache(maxsize=16)
def plain_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the plain names of algorithms, each once, in order."""
    return tuple(dict.fromkeys(map(plain, names)))
