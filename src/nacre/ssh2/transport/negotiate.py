"""Phase 2, first half: the negotiation of algorithms (RFC 4253 section 7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from nacre.crypto.kex.gss import METHODS as GSS
from nacre.crypto.registry import CIPHERS, EXCHANGES
from nacre.errors import NoCommonAlgorithm
from nacre.protocol.events import Chosen, Proposal
from nacre.protocol.options import Algorithms, known, offered
from nacre.protocol.phases import Role
from nacre.ssh2.transport.messages import KexInit
from nacre.wire.text import safe

IMPLICIT_MAC = "<implicit>"
STRICT = {
    Role.CLIENT: "kex-strict-c-v00@openssh.com",
    Role.SERVER: "kex-strict-s-v00@openssh.com",
}
EXT_INFO = {Role.CLIENT: "ext-info-c", Role.SERVER: "ext-info-s"}
NO_HOST_KEY = "null"
"""The host key algorithm of a server without a key (RFC 4462 section 5): for GSSAPI alone."""

_COOKIE = 16
_KEPT = 16
"""How many different KEXINITs are cached, for this side and for peers."""

_USUAL = 4096
"""Bytes of the longest KEXINIT of a peer that is cached."""

_MARKERS = frozenset({*STRICT.values(), *EXT_INFO.values()})


def kexinit(
    algorithms: Algorithms,
    host_key: tuple[str, ...],
    role: Role,
    cookie: bytes,
    gss_kex: tuple[str, ...] = (),
) -> tuple[Proposal, bytes]:
    """Return our lists, and the KEXINIT that holds them.

    Each of ours has the markers of strict kex and ext-info, which only matter in the first.

    :param gss_kex: the methods of GSSAPI, which come before the others.
    """
    kex = (*gss_kex, *algorithms.kex, EXT_INFO[role], STRICT[role])
    if gss_kex and role is Role.CLIENT:
        host_key = (*host_key, NO_HOST_KEY)
    ciphers, macs = algorithms.ciphers, algorithms.macs
    lists, payload = _ours(kex, host_key, ciphers, macs, algorithms.compression)
    return lists, payload[:1] + cookie + payload[1 + _COOKIE :]


@lru_cache(_KEPT)
def _ours(
    kex: tuple[str, ...],
    host_key: tuple[str, ...],
    ciphers: tuple[str, ...],
    macs: tuple[str, ...],
    compression: tuple[str, ...],
) -> tuple[Proposal, bytes]:
    init = KexInit(
        cookie=bytes(_COOKIE),
        kex=tuple(name for name in kex if name in _MARKERS or EXCHANGES[name].supported()),
        host_key=host_key,
        ciphers_c2s=ciphers,
        ciphers_s2c=ciphers,
        macs_c2s=macs,
        macs_s2c=macs,
        compression_c2s=compression,
        compression_s2c=compression,
        languages_c2s=(),
        languages_s2c=(),
        first_kex_packet_follows=False,
        reserved=0,
    )
    return proposal(init), init.encode()


def proposal(init: KexInit) -> Proposal:
    """Return the name-lists of a KEXINIT that are negotiated."""
    return Proposal(
        init.kex,
        init.host_key,
        init.ciphers_c2s,
        init.ciphers_s2c,
        init.macs_c2s,
        init.macs_s2c,
        init.compression_c2s,
        init.compression_s2c,
    )


def received(payload: bytes) -> tuple[Proposal, bool]:
    """Return the lists of the peer's KEXINIT, and whether a guessed packet follows.

    :raises MalformedMessage: it does not decode.
    """
    # The KEXINITs of one implementation differ in the cookie only.
    key = payload[:1] + bytes(_COOKIE) + payload[1 + _COOKIE :]
    return _remembered(key) if len(key) <= _USUAL else _read(key)


def _read(payload: bytes) -> tuple[Proposal, bool]:
    init = KexInit.decode(payload)
    return proposal(init), init.first_kex_packet_follows


_remembered = lru_cache(_KEPT)(_read)


def negotiate(client: Proposal, server: Proposal, role: Role) -> Chosen:
    """Return, for each list, the client's first name that is in the server's list.

    :param role: this side, for the text of the error.
    :raises NoCommonAlgorithm: lists have no name in common; it tells all of them.
    """
    missing: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []

    def first(kind: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
        for name in ours:
            if name in theirs and name not in _MARKERS:
                return name
        missing.append((kind, ours, theirs) if role is Role.CLIENT else (kind, theirs, ours))
        return ""

    def mac(cipher: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
        # Without a cipher in common, the one to be named may need a MAC.
        return IMPLICIT_MAC if cipher and CIPHERS[cipher].aead else first("MAC", ours, theirs)

    kex = first("kex", client.kex, server.kex)
    host_keys = client.host_key
    if NO_HOST_KEY in host_keys and kex not in GSS:
        host_keys = tuple(name for name in host_keys if name != NO_HOST_KEY)
    host_key = first("host key", host_keys, server.host_key)
    cipher_c2s = first("cipher", client.ciphers_c2s, server.ciphers_c2s)
    cipher_s2c = first("cipher", client.ciphers_s2c, server.ciphers_s2c)
    chosen = Chosen(
        kex=kex,
        host_key=host_key,
        cipher_c2s=cipher_c2s,
        cipher_s2c=cipher_s2c,
        mac_c2s=mac(cipher_c2s, client.macs_c2s, server.macs_c2s),
        mac_s2c=mac(cipher_s2c, client.macs_s2c, server.macs_s2c),
        compression_c2s=first("compression", client.compression_c2s, server.compression_c2s),
        compression_s2c=first("compression", client.compression_s2c, server.compression_s2c),
        strict=STRICT[Role.CLIENT] in client.kex and STRICT[Role.SERVER] in server.kex,
    )
    if missing:
        raise _none_in_common(missing)
    return chosen


_KEYWORDS = {
    "kex": "KexAlgorithms=+{}",
    "host key": "HostKeyAlgorithms=+{}",
    "cipher": "Ciphers=+{}",
    "MAC": "MACs=+{}",
    "compression": "Compression=yes",
}
"""For each kind, the configuration that adds an algorithm."""


def _none_in_common(
    missing: Sequence[tuple[str, tuple[str, ...], tuple[str, ...]]],
) -> NoCommonAlgorithm:
    """Return the error for kinds with the lists of this side and of the peer."""
    # Both directions have the same lists, nearly always.
    kinds = list(dict.fromkeys(missing))
    mends: dict[str, list[str]] = {}
    narrowed = True
    for kind, _, remote in kinds:
        usual = [name for name in remote if name in offered(kind)]
        usable = next((name for name in usual or remote if name in known(kind)), None)
        narrowed &= bool(usual)
        if usable is None:
            remedy = f"nacre has no {kind} algorithm of the peer's"
            break
        mends.setdefault(_KEYWORDS[kind], []).append(usable)
    else:
        # Of one keyword only the first option counts.
        words = [f"-o {keyword.format(','.join(names))}" for keyword, names in mends.items()]
        remedy = (
            "options or the configuration leave out what the peer has; added by "
            f"{' '.join(words)}, or by nacre.algorithms(…)"
            if narrowed
            else "old algorithms of the peer's are off by default; turned on by "
            f"{' '.join(words)}, by "
            'nacre.algorithms(…), or all at once by --profile legacy (profile="legacy")'
        )
    first, *others = [
        NoCommonAlgorithm(
            kind,
            [name for name in local if name not in _MARKERS],
            [safe(name, 64) for name in remote if name not in _MARKERS],
        )
        for kind, local, remote in kinds
    ]
    return NoCommonAlgorithm(first.kind, first.local, first.remote, others=others, remedy=remedy)


def guessed_right(client: Proposal, server: Proposal) -> bool:
    """Return whether a guessed kex packet is right: both sides prefer the same (section 7)."""
    return client.kex[:1] == server.kex[:1] and client.host_key[:1] == server.host_key[:1]
