"""Every algorithm by its name on the wire, with its tier. A table's order is that of preference.

The sizes of keys, IVs and MACs are in bytes: they are the key material that an algorithm needs. The
modules of an algorithm are loaded when it has been chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.crypto.kex import dh as kex_dh
from nacre.crypto.kex import ecdh as kex_ecdh
from nacre.crypto.kex import gss as kex_gss
from nacre.crypto.kex import pq as kex_pq
from nacre.crypto.kex.method import KexMethod, Tier
from nacre.crypto.packets.seal import Opener, Random, Sealer
from nacre.crypto.signatures.certified import certified
from nacre.value import value

if TYPE_CHECKING:
    from nacre.crypto.packets.mac import Mac

__all__ = [
    "CA_SIGNATURES",
    "CIPHERS",
    "COMPRESSIONS",
    "EXCHANGES",
    "KEX",
    "MACS",
    "SIGNATURES",
    "CipherSpec",
    "MacSpec",
    "PacketKeys",
    "Tier",
    "opener",
    "sealer",
]


@value
class CipherSpec:
    """A cipher. With ``aead`` it authenticates too, and no MAC is negotiated."""

    name: str
    tier: Tier
    key_size: int
    iv_size: int
    block_size: int
    aead: bool


@value
class MacSpec:
    """A MAC. With ``etm`` it covers the encrypted packet, otherwise the plain one."""

    name: str
    tier: Tier
    hash_name: str
    key_size: int
    tag_size: int
    etm: bool


_CHACHA = "chacha20-poly1305@openssh.com"

CIPHERS: dict[str, CipherSpec] = {
    spec.name: spec
    for spec in (
        # AES-GCM first: with AES instructions it needs a third of ChaCha20-Poly1305's time.
        CipherSpec("aes128-gcm@openssh.com", Tier.DEFAULT, 16, 12, 16, True),
        CipherSpec("aes256-gcm@openssh.com", Tier.DEFAULT, 32, 12, 16, True),
        CipherSpec(_CHACHA, Tier.DEFAULT, 64, 0, 8, True),
        CipherSpec("aes128-ctr", Tier.DEFAULT, 16, 16, 16, False),
        CipherSpec("aes192-ctr", Tier.DEFAULT, 24, 16, 16, False),
        CipherSpec("aes256-ctr", Tier.DEFAULT, 32, 16, 16, False),
        CipherSpec("aes128-cbc", Tier.LEGACY, 16, 16, 16, False),
        CipherSpec("aes192-cbc", Tier.LEGACY, 24, 16, 16, False),
        CipherSpec("aes256-cbc", Tier.LEGACY, 32, 16, 16, False),
        CipherSpec("3des-cbc", Tier.LEGACY, 24, 8, 8, False),
    )
}

MACS: dict[str, MacSpec] = {
    spec.name: spec
    for spec in (
        MacSpec("hmac-sha2-256-etm@openssh.com", Tier.DEFAULT, "sha256", 32, 32, True),
        MacSpec("hmac-sha2-512-etm@openssh.com", Tier.DEFAULT, "sha512", 64, 64, True),
        MacSpec("hmac-sha2-256", Tier.DEFAULT, "sha256", 32, 32, False),
        MacSpec("hmac-sha2-512", Tier.DEFAULT, "sha512", 64, 64, False),
        MacSpec("hmac-sha1-etm@openssh.com", Tier.LEGACY, "sha1", 20, 20, True),
        MacSpec("hmac-sha1", Tier.LEGACY, "sha1", 20, 20, False),
        MacSpec("hmac-sha1-96", Tier.LEGACY, "sha1", 20, 12, False),
        MacSpec("hmac-md5", Tier.LEGACY, "md5", 16, 16, False),
    )
}

COMPRESSIONS: dict[str, Tier] = {
    "none": Tier.DEFAULT,
    # Starts after authentication: an unauthenticated peer never reaches the decompressor.
    "zlib@openssh.com": Tier.DEFAULT,
    "zlib": Tier.ALLOWED,
}

KEX: dict[str, KexMethod] = {**kex_pq.METHODS, **kex_ecdh.METHODS, **kex_dh.METHODS}

EXCHANGES: dict[str, KexMethod] = {**KEX, **kex_gss.METHODS}
"""Every key exchange method; those of GSSAPI are offered where a ticket, or a key tab, is."""

_WEBAUTHN = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
"""Signatures that browsers have security keys make. As with OpenSSH, off by default, and none of
keys with certificates."""

_PLAIN_SIGNATURES: dict[str, Tier] = {
    "ssh-ed25519": Tier.DEFAULT,
    "ecdsa-sha2-nistp256": Tier.DEFAULT,
    "ecdsa-sha2-nistp384": Tier.DEFAULT,
    "ecdsa-sha2-nistp521": Tier.DEFAULT,
    "sk-ssh-ed25519@openssh.com": Tier.DEFAULT,
    "sk-ecdsa-sha2-nistp256@openssh.com": Tier.DEFAULT,
    _WEBAUTHN: Tier.ALLOWED,
    "rsa-sha2-512": Tier.DEFAULT,
    "rsa-sha2-256": Tier.DEFAULT,
    # Last: OpenSSH has none, so a peer that has it has the others too.
    "ssh-ed448": Tier.DEFAULT,
    # As with OpenSSH 10.4 off by default: the draft may still change.
    "ssh-mldsa44-ed25519@openssh.com": Tier.ALLOWED,
    "ssh-rsa": Tier.LEGACY,
    "ssh-dss": Tier.LEGACY,
}

SIGNATURES: dict[str, Tier] = {
    **{certified(name): tier for name, tier in _PLAIN_SIGNATURES.items() if name != _WEBAUTHN},
    **_PLAIN_SIGNATURES,
}
"""Signature algorithms of host keys and of users' keys, those of certificates first.

RFC 8332, RFC 5656, RFC 8709; PROTOCOL.certkeys of OpenSSH.
"""

CA_SIGNATURES: dict[str, Tier] = _PLAIN_SIGNATURES
"""The algorithms with which certificates may be signed."""


@value(repr=False)
class PacketKeys:
    """The algorithms and keys of one direction: what a Sealer or an Opener is made of.

    :ivar mac: ignored, like ``mac_key``, if the cipher is an AEAD.
    """

    cipher: str
    mac: str
    key: bytes
    iv: bytes
    mac_key: bytes


def sealer(keys: PacketKeys, *, sequence: int, random: Random) -> Sealer:
    """Return the Sealer of one direction.

    :param sequence: the number of its first packet: a rekey continues the count of a direction,
        and strict kex restarts it at 0.
    :raises KeyError: there is no such algorithm.
    :raises ValueError: a key or IV is not of the algorithm's size.
    """
    spec = _checked(keys)
    if keys.cipher == _CHACHA:
        from nacre.crypto.packets.chacha import ChaChaSealer

        return ChaChaSealer(keys.key, sequence, random)
    if spec.aead:
        from nacre.crypto.packets.gcm import GcmSealer

        return GcmSealer(keys.key, keys.iv, sequence, random)
    from nacre.crypto.packets.block import stream_cipher
    from nacre.crypto.packets.stream import EtmSealer, StreamSealer

    mac = _mac(keys.mac, keys.mac_key)
    make = EtmSealer if MACS[keys.mac].etm else StreamSealer
    encryptor = stream_cipher(keys.cipher, keys.key, keys.iv).encryptor()
    return make(encryptor, spec.block_size, mac, sequence, random)


def opener(keys: PacketKeys, *, sequence: int, packet_limit: int) -> Opener:
    """Return the Opener of one direction; parameters and errors are those of :func:`sealer`.

    :param packet_limit: the largest packet_length to accept.
    """
    spec = _checked(keys)
    if keys.cipher == _CHACHA:
        from nacre.crypto.packets.chacha import ChaChaOpener

        return ChaChaOpener(keys.key, sequence, packet_limit)
    if spec.aead:
        from nacre.crypto.packets.gcm import GcmOpener

        return GcmOpener(keys.key, keys.iv, sequence, packet_limit)
    from nacre.crypto.packets.block import stream_cipher
    from nacre.crypto.packets.stream import EtmOpener, StreamOpener

    mac = _mac(keys.mac, keys.mac_key)
    make = EtmOpener if MACS[keys.mac].etm else StreamOpener
    decryptor = stream_cipher(keys.cipher, keys.key, keys.iv).decryptor()
    return make(decryptor, spec.block_size, mac, sequence, packet_limit)


def _checked(keys: PacketKeys) -> CipherSpec:
    spec = CIPHERS[keys.cipher]
    if len(keys.key) != spec.key_size or len(keys.iv) != spec.iv_size:
        raise ValueError(
            f"{keys.cipher} takes a key of {spec.key_size} and an IV of {spec.iv_size} bytes, "
            f"not {len(keys.key)} and {len(keys.iv)}"
        )
    return spec


def _mac(name: str, key: bytes) -> Mac:
    from nacre.crypto.packets.mac import Mac

    spec = MACS[name]
    if len(key) != spec.key_size:
        raise ValueError(f"{name} takes a key of {spec.key_size} bytes, not {len(key)}")
    return Mac(spec.hash_name, key, spec.tag_size)
