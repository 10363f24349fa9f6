"""PuTTY's format of private keys, ``ppk``, versions 2 and 3: decoding and encoding.

The layout is in appendix C of PuTTY's manual: lines ``Name: value`` in a fixed order, the public
key in clear, the private section in base64, and a MAC over all of it. Version 3 derives its keys
with Argon2 and authenticates with HMAC-SHA-256; version 2 has SHA-1 for both.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode

from nacre.errors import KeyFormatError, MalformedMessage, PassphraseRequired
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.keys.formats.armor import folded
from nacre.keys.formats.openssh import Random
from nacre.keys.key import decode_private, decode_public
from nacre.value import value
from nacre.wire.codec import WireReader, mpint, string, text
from nacre.wire.text import safe_name

BEGIN = b"PuTTY-User-Key-File-"

_CIPHER = "aes256-cbc"
_BLOCK = 16
_LINE = 64
_MOST_LINES = 4096
_MAC_KEY = b"putty-private-key-file-mac-key"
_MACS = {2: "sha1", 3: "sha256"}

MEMORY, PASSES, LANES = 8192, 13, 1
"""The costs of Argon2id in new files, PuTTY's: KiB, passes over them, and parallel lanes."""

_RSA, _EDDSA = ("ssh-rsa",), ("ssh-ed25519", "ssh-ed448")
_TYPES = (*_RSA, *_EDDSA, *(f"ecdsa-sha2-nistp{n}" for n in (256, 384, 521)), "ssh-dss")


@value(repr=False)
class _Costs:
    """What Argon2 is called with, by the names of the lines."""

    variant: str
    memory: int
    passes: int
    lanes: int
    salt: bytes


@value(repr=False)
class _Secrets:
    cipher_key: bytes
    iv: bytes
    mac_key: bytes


@value(repr=False)
class _File:
    """The fields of a file. ``costs`` is None if no key is derived with Argon2."""

    version: int
    type: str
    encryption: str
    comment: bytes
    public: bytes
    costs: _Costs | None
    private: bytes
    mac: bytes

    @property
    def encrypted(self) -> bool:
        return self.encryption != "none"

    def mac_of(self, secrets: _Secrets, private: bytes, comment: bytes) -> bytes:
        """Return the MAC over the fields, with the private section in clear."""
        covered = (
            self.type.encode("ascii"),
            self.encryption.encode("ascii"),
            comment,
            self.public,
            private,
        )
        data = b"".join(map(string, covered))
        return hmac.digest(secrets.mac_key, data, _MACS[self.version])


def decode(data: bytes, passphrase: bytes | None) -> PrivateKey:
    """Return the private key in ``data``, the content of a file.

    A key with a certificate in its file is a :class:`~nacre.keys.certificate.CertifiedKey`.

    :raises KeyFormatError: the file is damaged, or its version, encryption or costs are not
        supported.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    file = _parse(data)
    public = _public(file)
    if file.encrypted and not passphrase:
        raise PassphraseRequired("the private key is encrypted: a passphrase is needed")
    secrets = _derive(file.version, file.costs, passphrase or b"", encrypted=file.encrypted)
    private = file.private
    if file.encrypted:
        from nacre.crypto.packets.block import decrypt

        private = decrypt(_CIPHER, secrets.cipher_key, secrets.iv, private)
    # An editor may have put blanks behind the comment.
    macs = (file.mac_of(secrets, private, it) for it in (file.comment, file.comment.strip()))
    if not any(hmac.compare_digest(mac, file.mac) for mac in macs):
        if file.encrypted:
            raise PassphraseRequired("the passphrase is wrong, or the private key is damaged")
        raise KeyFormatError("PuTTY's key file is damaged: its Private-MAC does not match")
    plain = public.plain
    try:
        fields = _joined(plain, WireReader(private))
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError("PuTTY's key file is damaged: a field of the key is cut off") from None
    key = decode_private(WireReader(text(plain.type) + fields + string(file.comment)))
    return CertifiedKey(public, key) if isinstance(public, Certificate) else key


def public_half(data: bytes) -> PublicKey:
    """Return the public key, or the certificate, in the content of a file; it is not encrypted.

    :raises KeyFormatError: the file is damaged.
    """
    return _public(_parse(data))


def _public(file: _File) -> PublicKey:
    public = decode_public(file.public)
    if public.type != file.type or public.plain.type not in _TYPES:
        raise KeyFormatError("PuTTY's key file is damaged: it names another type than its key")
    return public


def _joined(public: PublicKey, private: WireReader) -> bytes:
    """Return the fields as openssh-key-v1 has them; what follows ``private`` is padding."""
    fields = WireReader(public.blob)
    fields.string()
    if public.type in _EDDSA:
        point = fields.string()
        return string(point) + string(private.string() + point)
    if public.type in _RSA:
        e, n = fields.mpint(), fields.mpint()
        d, p, q, iqmp = (private.mpint() for _ in range(4))
        return b"".join(map(mpint, (n, e, d, iqmp, p, q)))
    return fields.rest() + mpint(private.mpint())


def _split(type: str, fields: WireReader) -> bytes:
    """Return the private section for the fields that openssh-key-v1 has."""
    if type in _EDDSA:
        point, secret = fields.string(), fields.string()
        return string(secret.removesuffix(point))
    if type in _RSA:
        _, _, d, iqmp, p, q = (fields.mpint() for _ in range(6))
        return b"".join(map(mpint, (d, p, q, iqmp)))
    secret = b""
    while fields.remaining:
        secret = fields.string()
    return string(secret)


# --- text ---


class _FileLines:
    """The lines of a file, taken one after another."""

    def __init__(self, data: bytes) -> None:
        self._lines = iter([line for line in data.splitlines() if line.strip()])

    def take(self, name: str) -> bytes:
        """Return the value of the next line, which has this name."""
        found, colon, rest = next(self._lines, b"").partition(b":")
        if not colon or found.strip() != name.encode("ascii"):
            raise KeyFormatError(
                f"PuTTY's key file is damaged: it is cut off, or its line {name} is missing"
            )
        return rest.removeprefix(b" ")

    def word(self, name: str) -> str:
        return self.take(name).strip().decode("latin-1")

    def number(self, name: str) -> int:
        word = self.word(name)
        if not word.isdecimal() or not word.isascii() or len(word) > 10:
            raise KeyFormatError(f"PuTTY's key file is damaged: {name} is not a number")
        return int(word)

    def hex(self, name: str) -> bytes:
        try:
            return bytes.fromhex(self.word(name))
        except ValueError:
            raise KeyFormatError(
                f"PuTTY's key file is damaged: {name} is not hexadecimal"
            ) from None

    def base64(self, name: str) -> bytes:
        """Return what the lines stand for that follow the one with their number."""
        count = self.number(name)
        if count > _MOST_LINES:
            raise KeyFormatError(f"the private key file has more than {_MOST_LINES} {name}")
        lines = [next(self._lines, b"").strip() for _ in range(count)]
        try:
            return b64decode(b"".join(lines), validate=True)
        except (binascii.Error, ValueError):
            raise KeyFormatError(
                f"PuTTY's key file is damaged: behind {name} are not that many lines of base64"
            ) from None


def _parse(data: bytes) -> _File:
    start = data[data.find(BEGIN) :]
    version = start[len(BEGIN) : len(BEGIN) + 2]
    if version not in (b"2:", b"3:"):
        raise KeyFormatError(
            "only versions 2 and 3 of PuTTY's format are read: save the key anew with puttygen"
        )
    number = int(version[:1])
    lines = _FileLines(start)
    type = lines.word(f"{BEGIN.decode()}{number}")
    encryption, comment = lines.word("Encryption"), lines.take("Comment")
    if encryption not in ("none", _CIPHER):
        raise KeyFormatError(f"the private key's cipher {safe_name(encryption)} is not supported")
    public = lines.base64("Public-Lines")
    costs = _costs(lines) if number == 3 and encryption != "none" else None
    private = lines.base64("Private-Lines")
    if encryption != "none" and len(private) % _BLOCK:
        raise KeyFormatError("PuTTY's key file is damaged: its private section is cut off")
    mac = lines.hex("Private-MAC")
    return _File(number, type, encryption, comment, public, costs, private, mac)


def _costs(lines: _FileLines) -> _Costs:
    return _Costs(
        lines.word("Key-Derivation"),
        lines.number("Argon2-Memory"),
        lines.number("Argon2-Passes"),
        lines.number("Argon2-Parallelism"),
        lines.hex("Argon2-Salt"),
    )


# --- keys of the encryption and of the MAC ---


def _derive(version: int, costs: _Costs | None, passphrase: bytes, *, encrypted: bool) -> _Secrets:
    if version == 2:
        return _derive2(passphrase if encrypted else b"")
    if costs is None:
        return _Secrets(b"", b"", b"")
    from nacre.crypto.argon2 import argon2

    made = argon2(
        costs.variant,
        passphrase,
        costs.salt,
        80,
        memory=costs.memory,
        passes=costs.passes,
        lanes=costs.lanes,
    )
    return _Secrets(made[:32], made[32:48], made[48:])


def _derive2(passphrase: bytes) -> _Secrets:
    parts = (_sha1(bytes((0, 0, 0, i)) + passphrase) for i in range(2))
    return _Secrets(b"".join(parts)[:32], bytes(_BLOCK), _sha1(_MAC_KEY + passphrase))


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def encode(key: PrivateKey, passphrase: bytes | None, *, version: int, random: Random) -> bytes:
    """Return the content of a file with ``key``, encrypted if there is a passphrase.

    :param version: 2 or 3. PuTTY reads version 3 since 0.75.
    :param random: returns random bytes, for the salt and the padding.
    :raises KeyFormatError: the format has no keys of this type.
    """
    held = key.private if isinstance(key, CertifiedKey) else key
    if held.public.type not in _TYPES:
        raise KeyFormatError(f"PuTTY's format has no keys of type {key.public.type}: use OpenSSH's")
    private = _split(held.public.type, WireReader(held.secret_fields()))
    costs = None
    if passphrase:
        private += random(-len(private) % _BLOCK)
        if version == 3:
            costs = _Costs("Argon2id", MEMORY, PASSES, LANES, random(16))
    secrets = _derive(version, costs, passphrase or b"", encrypted=bool(passphrase))
    file = _File(
        version,
        key.public.type,
        _CIPHER if passphrase else "none",
        # A line end in the comment would be the next line of the file.
        " ".join(key.comment.split()).encode("utf-8", "surrogateescape"),
        key.public.blob,
        costs,
        private,
        b"",
    )
    return _written(file, secrets)


def _written(file: _File, secrets: _Secrets) -> bytes:
    sealed = file.private
    if file.encrypted:
        from nacre.crypto.packets.block import encrypt

        sealed = encrypt(_CIPHER, secrets.cipher_key, secrets.iv, file.private)
    public, private = folded(file.public, _LINE), folded(sealed, _LINE)
    lines: list[tuple[str, object, bytes]] = [
        (f"{BEGIN.decode()}{file.version}", file.type, b""),
        ("Encryption", file.encryption, b""),
        ("Comment", file.comment.decode("utf-8", "surrogateescape"), b""),
        ("Public-Lines", public.count(b"\n"), public),
    ]
    if file.costs is not None:
        lines += [
            ("Key-Derivation", file.costs.variant, b""),
            ("Argon2-Memory", file.costs.memory, b""),
            ("Argon2-Passes", file.costs.passes, b""),
            ("Argon2-Parallelism", file.costs.lanes, b""),
            ("Argon2-Salt", file.costs.salt.hex(), b""),
        ]
    lines += [
        ("Private-Lines", private.count(b"\n"), private),
        ("Private-MAC", file.mac_of(secrets, file.private, file.comment).hex(), b""),
    ]
    return b"".join(
        f"{name}: {shown}\n".encode("utf-8", "surrogateescape") + below
        for name, shown, below in lines
    )
