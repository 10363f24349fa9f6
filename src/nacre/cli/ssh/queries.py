"""``-Q``: the names of the algorithms that nacre has, in the lists of ssh(1)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from nacre.cli.common.start import FAILURE
from nacre.crypto import registry
from nacre.crypto.kex.gss import PREFIXES
from nacre.crypto.signatures.certified import certified, plain
from nacre.keys.key import KEY_TYPES, SECURITY_KEY_TYPES
from nacre.protocol.options import known
from nacre.wire.text import safe

_TYPES = (*KEY_TYPES, *SECURITY_KEY_TYPES)


def _plain(names: Iterable[str]) -> list[str]:
    return [name for name in names if name == plain(name)]


def _authenticating() -> list[str]:
    return [name for name, spec in registry.CIPHERS.items() if spec.aead]


LISTS: dict[str, Callable[[], Iterable[str]]] = {
    "cipher": lambda: known("cipher"),
    "cipher-auth": _authenticating,
    "compression": lambda: known("compression"),
    "kex": lambda: known("kex"),
    "kex-gss": lambda: PREFIXES,
    "key": lambda: [name for plain in _TYPES for name in (plain, certified(plain))],
    "key-ca-sign": lambda: known("CA signature"),
    "key-cert": lambda: map(certified, _TYPES),
    "key-plain": lambda: _TYPES,
    "key-sig": lambda: known("signature"),
    "mac": lambda: known("MAC"),
    "protocol-version": lambda: ("1", "2"),
    "sig": lambda: _plain(known("signature")),
}
"""Each list of ssh(1), with its names, best first."""

KEYWORDS = {
    "CASignatureAlgorithms": "key-ca-sign",
    "Ciphers": "cipher",
    "GSSAPIKexAlgorithms": "kex-gss",
    "HostbasedAcceptedAlgorithms": "key-sig",
    "HostbasedAcceptedKeyTypes": "key-sig",
    "HostbasedKeyTypes": "key-sig",
    "HostKeyAlgorithms": "key-sig",
    "KexAlgorithms": "kex",
    "MACs": "mac",
    "PubkeyAcceptedAlgorithms": "key-sig",
    "PubkeyAcceptedKeyTypes": "key-sig",
}
"""For each keyword of the configuration, the list of the names that it takes."""

_BY_LOWER = {name.lower(): name for name in LISTS} | {
    keyword.lower(): name for keyword, name in KEYWORDS.items()
}


def answer(program: str, query: str) -> int:
    """Print a list, one name a line; return the exit status.

    :param query: the list's name, or a keyword, in any case; ``help`` for the names of the lists.
    """
    if query.lower() == "help":
        print("\n".join([*LISTS, *KEYWORDS]))
        return 0
    name = _BY_LOWER.get(query.lower())
    if name is None:
        print(
            f"{program}: -Q {safe(query, 100)}: unknown list; give one of {', '.join(LISTS)}",
            file=sys.stderr,
        )
        return FAILURE
    for algorithm in LISTS[name]():
        print(algorithm)
    return 0
