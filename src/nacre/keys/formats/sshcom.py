"""Private keys in the format of SSH.COM's programs. They are read only.

Their BEGIN line is ``BEGIN SSH2 ENCRYPTED PRIVATE KEY``, whether they are encrypted or not.
``ssh-keygen -i`` reads those without a passphrase, and ``puttygen -O private-sshcom`` writes them.
The format has RSA and DSA keys; its only cipher is 3DES, with a single MD5 of the passphrase.
"""

from __future__ import annotations

import hashlib

from nacre.errors import KeyFormatError, MalformedMessage, PassphraseRequired
from nacre.keys.base import PrivateKey
from nacre.keys.formats.armor import KeyBlock
from nacre.keys.key import decode_private
from nacre.wire.codec import WireReader, mpint, text
from nacre.wire.text import safe_name

LABEL = "SSH2 ENCRYPTED PRIVATE KEY"

_MAGIC = 0x3F6FF9EB
_BLOCK = 8
_RSA, _DSA = "if-modn", "dl-modp"


def decode(block: KeyBlock, passphrase: bytes | None) -> PrivateKey:
    """Return the private key in a block.

    :raises KeyFormatError: it is damaged, or of a type or encryption that is not supported.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    data = block.data()
    try:
        reader = WireReader(data)
        if reader.u32() != _MAGIC or reader.u32() != len(data):
            raise KeyFormatError("the private key file is damaged: it was cut off")
        family, cipher, section = reader.text().partition("{")[0], reader.text(), reader.string()
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError("the private key file is damaged: a field of it is cut off") from None
    if cipher not in ("none", "3des-cbc"):
        raise KeyFormatError(f"the private key's cipher {safe_name(cipher)} is not supported")
    encrypted = cipher != "none"
    if encrypted:
        section = _decrypt(section, passphrase)
    try:
        fields = _fields(family, WireReader(section))
    except MalformedMessage:
        if encrypted:
            raise PassphraseRequired(
                "the passphrase is wrong, or the private key is damaged"
            ) from None
        raise KeyFormatError("the private key is damaged: a field of it is cut off") from None
    comment = block.fields().get("comment", "").strip('"')
    return decode_private(WireReader(fields + text(comment)))


def _decrypt(section: bytes, passphrase: bytes | None) -> bytes:
    if not passphrase:
        raise PassphraseRequired("the private key is encrypted: a passphrase is needed")
    if len(section) % _BLOCK:
        raise KeyFormatError("the private key file is damaged: its private section is cut off")
    from nacre.crypto.packets.block import decrypt

    first = hashlib.md5(passphrase, usedforsecurity=False).digest()
    second = hashlib.md5(passphrase + first, usedforsecurity=False).digest()
    return decrypt("3des-cbc", (first + second)[:24], bytes(_BLOCK), section)


def _fields(family: str, section: WireReader) -> bytes:
    """Return the type's name and the fields as openssh-key-v1 has them.

    :raises MalformedMessage: a field is cut off, which is so after a wrong passphrase.
    """
    numbers = WireReader(section.string())
    if family == _RSA:
        e, d, n, iqmp, q, p = (_number(numbers) for _ in range(6))
        return text("ssh-rsa") + b"".join(map(mpint, (n, e, d, iqmp, p, q)))
    if family == _DSA:
        numbers.u32()  # the number of a known group: none is defined
        p, g, q, y, x = (_number(numbers) for _ in range(5))
        return text("ssh-dss") + b"".join(map(mpint, (p, q, g, y, x)))
    raise KeyFormatError("the private key is of a type that is not supported")


def _number(reader: WireReader) -> int:
    return int.from_bytes(reader.fixed((reader.u32() + 7) // 8), "big")
