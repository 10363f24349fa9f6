"""The stages of a key exchange, and which of its messages are legal in each, as data."""

from __future__ import annotations

from enum import Enum

from nacre.crypto.kex.method import Family


class KexStage(Enum):
    """The message of a key exchange that the peer sends next."""

    IDLE = "no key exchange"
    GUESS = "a wrongly guessed packet, which is dropped"
    INITIATE = "KEXDH_INIT"
    REPLY = "KEXDH_REPLY"
    GEX_REQUEST = "KEX_DH_GEX_REQUEST"
    GEX_GROUP = "KEX_DH_GEX_GROUP"
    GEX_INIT = "KEX_DH_GEX_INIT"
    GEX_REPLY = "KEX_DH_GEX_REPLY"
    GSS_INITIATE = "KEXGSS_INIT"
    GSS_CONTINUE = "KEXGSS_CONTINUE"
    GSS_REPLY = "KEXGSS_CONTINUE or KEXGSS_COMPLETE"
    NEWKEYS = "NEWKEYS"


LEGAL: dict[KexStage, frozenset[int]] = {
    KexStage.GUESS: frozenset(range(30, 50)),
    KexStage.INITIATE: frozenset({30}),
    KexStage.REPLY: frozenset({31}),
    KexStage.GEX_REQUEST: frozenset({34}),
    KexStage.GEX_GROUP: frozenset({31}),
    KexStage.GEX_INIT: frozenset({32}),
    KexStage.GEX_REPLY: frozenset({33}),
    KexStage.GSS_INITIATE: frozenset({30}),
    KexStage.GSS_CONTINUE: frozenset({31}),
    KexStage.GSS_REPLY: frozenset({31, 32, 33, 34}),
    KexStage.NEWKEYS: frozenset({21}),
}
"""The messages of the exchange that are legal in each stage; KEXINIT is legal in IDLE only."""

BEGINS: dict[Family, tuple[KexStage, KexStage]] = {
    "dh": (KexStage.REPLY, KexStage.INITIATE),
    "ecdh": (KexStage.REPLY, KexStage.INITIATE),
    "dh-gex": (KexStage.GEX_GROUP, KexStage.GEX_REQUEST),
    "gss": (KexStage.GSS_REPLY, KexStage.GSS_INITIATE),
}
"""For each family of methods, the stage in which a client's exchange begins, and a server's."""
