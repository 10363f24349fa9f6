"""The names that certificates have: of their types, and of the algorithms that use them.

OpenSSH's ``PROTOCOL.certkeys`` puts ``-cert-v01@openssh.com`` behind the name of the plain key's
type or of the signature algorithm.
"""

from __future__ import annotations

SUFFIX = "-cert-v01@openssh.com"

_VENDOR = "@openssh.com"
_OF_VENDOR = ("sk-", "webauthn-sk-")


def certified(name: str) -> str:
    """Return the name of a type or a signature algorithm where a certificate is used."""
    return name.removesuffix(_VENDOR) + SUFFIX


def plain(name: str) -> str:
    """Return the name of the plain type or algorithm; one that is plain is returned unchanged."""
    if not name.endswith(SUFFIX):
        return name
    bare = name.removesuffix(SUFFIX)
    return bare + _VENDOR if bare.startswith(_OF_VENDOR) else bare
