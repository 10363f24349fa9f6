"""OpenSSH's format of private keys, ``openssh-key-v1``: decoding and encoding.

The layout is in OpenSSH's ``PROTOCOL.key``: a magic, the names of a cipher and of a key derivation
with its options, the number of keys, the public key, and the private section, which is padded to
the cipher's block and encrypted. An AEAD's tag follows behind the section.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

from nacre.errors import KeyFormatError, MalformedMessage, PassphraseRequired
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.formats.armor import wrapped
from nacre.keys.key import decode_private, decode_public, encode_private
from nacre.value import value
from nacre.wire.codec import WireReader, string, u32
from nacre.wire.text import safe, safe_name

LABEL = "OPENSSH PRIVATE KEY"

MAXIMUM_ROUNDS = 2048
"""The most bcrypt rounds a file may have, about 15 seconds; ``ssh-keygen`` writes 16 or 24."""

_MAGIC = b"openssh-key-v1\0"
_PADDING = bytes(range(1, 256))
_LINE = 70
_CUT_OFF = "the private key file is damaged: a field of it is cut off, or bytes follow the last one"
DEFAULT_CIPHER = "aes256-ctr"
"""The cipher of new files, as of ``ssh-keygen``."""


Random: TypeAlias = Callable[[int], bytes]


@value
class _Cipher:
    """The sizes of a cipher, in bytes."""

    key: int
    iv: int
    block: int
    tag: int = 0


_NONE = _Cipher(key=0, iv=0, block=8)
CIPHERS = {
    "none": _NONE,
    "aes128-ctr": _Cipher(16, 16, 16),
    "aes192-ctr": _Cipher(24, 16, 16),
    "aes256-ctr": _Cipher(32, 16, 16),
    "aes128-cbc": _Cipher(16, 16, 16),
    "aes192-cbc": _Cipher(24, 16, 16),
    "aes256-cbc": _Cipher(32, 16, 16),
    "3des-cbc": _Cipher(24, 8, 8),
    "aes128-gcm@openssh.com": _Cipher(16, 12, 16, tag=16),
    "aes256-gcm@openssh.com": _Cipher(32, 12, 16, tag=16),
    "chacha20-poly1305@openssh.com": _Cipher(64, 0, 8, tag=16),
}
"""The ciphers of private keys, by the names of ``ssh -Q cipher``; ``none`` is no encryption."""


def decode(data: bytes, passphrase: bytes | None) -> PrivateKey:
    """Return the private key in ``data``, which a file in this format has in base64.

    :raises KeyFormatError: it is damaged, or its cipher is not supported.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    try:
        return _decode(_content(data), passphrase)
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError(_CUT_OFF) from None


def public_half(data: bytes) -> PublicKey:
    """Return the public key in ``data``, which is not encrypted; see :func:`decode`.

    :raises KeyFormatError: the file is damaged, or holds more than one key.
    """
    reader = _content(data)
    try:
        for _ in ("cipher", "derivation", "options"):
            reader.string()
        keys, blob = reader.u32(), reader.string()
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError(_CUT_OFF) from None
    if keys != 1:
        raise KeyFormatError(f"the private key file holds {keys} keys: only files of one are read")
    return decode_public(blob)


def encode(
    key: PrivateKey,
    passphrase: bytes | None,
    *,
    cipher: str = DEFAULT_CIPHER,
    rounds: int = 16,
    random: Random = os.urandom,
) -> bytes:
    """Return ``key`` as a file in this format, encrypted if there is a passphrase.

    :param cipher: one of ``ssh -Q cipher``.
    :param rounds: rounds of bcrypt, from 1 to :data:`MAXIMUM_ROUNDS`; each takes about 7 ms, for
        the owner as for a guesser.
    :param random: returns random bytes, for the salt and the check number.
    :raises KeyFormatError: there is no such cipher, or the rounds are out of bounds.
    """
    if not 1 <= rounds <= MAXIMUM_ROUNDS:
        raise KeyFormatError(f"{rounds} rounds of bcrypt: give 1 to {MAXIMUM_ROUNDS}")
    if cipher not in CIPHERS or cipher == "none":
        names = ", ".join(name for name in CIPHERS if name != "none")
        raise KeyFormatError(f"no cipher is named {safe(cipher)}: give one of {names}")
    name = cipher if passphrase else "none"
    sizes = CIPHERS[name]
    section = random(4) * 2 + encode_private(key)
    section += _PADDING[: -len(section) % sizes.block]
    size = len(section)
    derivation, options = b"none", b""
    if passphrase:
        salt = random(16)
        from nacre.crypto.packets.block import encrypt

        derivation, options = b"bcrypt", string(salt) + u32(rounds)
        secret, iv = _derive(sizes, passphrase, salt, rounds)
        section = encrypt(name, secret, iv, section)
    return wrapped(
        LABEL,
        b"".join(
            (
                _MAGIC,
                string(name.encode("ascii")),
                string(derivation),
                string(options),
                u32(1),
                string(key.public.blob),
                # The length does not count the tag of an AEAD.
                u32(size) + section,
            )
        ),
        _LINE,
    )


def _content(data: bytes) -> WireReader:
    if not data.startswith(_MAGIC):
        raise KeyFormatError("the private key file does not begin with openssh-key-v1")
    return WireReader(data, len(_MAGIC))


def _decode(reader: WireReader, passphrase: bytes | None) -> PrivateKey:
    name, derivation, options = reader.text(), reader.text(), reader.string()
    cipher = CIPHERS.get(name)
    if cipher is None:
        raise KeyFormatError(f"the private key's cipher {safe_name(name)} is not supported")
    if derivation != ("bcrypt" if cipher.key else "none"):
        raise KeyFormatError(
            f"the private key's key derivation {safe_name(derivation)} is not supported with the "
            f"cipher {name}"
        )
    keys = reader.u32()
    if keys != 1:
        raise KeyFormatError(f"the private key file holds {keys} keys: only files of one are read")
    public = decode_public(reader.string())
    section = reader.string()
    if len(section) % cipher.block:
        raise KeyFormatError("the private key file is damaged: its private section is cut off")
    section += reader.fixed(cipher.tag)
    reader.end()
    if cipher.key:
        section = _decrypt(name, cipher, options, section, passphrase)
    key = _decode_section(section, encrypted=bool(cipher.key))
    if key.public != public:
        raise KeyFormatError("the public and the private key in the file do not match")
    return key


def _decrypt(
    name: str, cipher: _Cipher, options: bytes, section: bytes, passphrase: bytes | None
) -> bytes:
    reader = WireReader(options)
    salt, rounds = reader.string(), reader.u32()
    reader.end()
    if not salt or not 1 <= rounds <= MAXIMUM_ROUNDS:
        raise KeyFormatError(
            f"the private key has {rounds} rounds of bcrypt and a salt of {len(salt)} bytes; "
            f"accepted are 1 to {MAXIMUM_ROUNDS} rounds, with a salt"
        )
    if not passphrase:
        raise PassphraseRequired("the private key is encrypted: a passphrase is needed")
    from nacre.crypto.packets.block import decrypt

    secret, iv = _derive(cipher, passphrase, salt, rounds)
    try:
        return decrypt(name, secret, iv, section)
    except ValueError:
        raise PassphraseRequired("the passphrase is wrong, or the private key is damaged") from None


def _derive(cipher: _Cipher, passphrase: bytes, salt: bytes, rounds: int) -> tuple[bytes, bytes]:
    import bcrypt

    made = bcrypt.kdf(passphrase, salt, cipher.key + cipher.iv, rounds, ignore_few_rounds=True)
    return made[: cipher.key], made[cipher.key :]


def _decode_section(section: bytes, *, encrypted: bool) -> PrivateKey:
    reader = WireReader(section)
    if reader.u32() != reader.u32():
        # The two are equal in every file: they differ if the passphrase is wrong.
        if encrypted:
            raise PassphraseRequired("the passphrase is wrong, or the private key is damaged")
        raise KeyFormatError("the private key file is damaged: its check numbers differ")
    key = decode_private(reader)
    padding = reader.rest()
    if padding != _PADDING[: len(padding)]:
        raise KeyFormatError("the private key file is damaged: its padding is wrong")
    return key
