"""RSA1 keys, which only SSH-1 uses: the keys, their lines, and their private files.

A key's line is ``bits exponent modulus comment``, in decimal; the private file is
``SSH PRIVATE KEY FILE FORMAT 1.1``, whose public half is never encrypted.
"""

from __future__ import annotations

import hashlib
import os

from nacre.crypto import legacy
from nacre.crypto.packets.seal import Random
from nacre.crypto.signatures.rsa import RSANumbers
from nacre.crypto.signatures.rsa1 import BITS, RSA1Signer, RSA1Verifier, fields
from nacre.errors import KeyFormatError, MalformedMessage, PassphraseRequired
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.fingerprint import fingerprint
from nacre.keys.rsa1_text import BEGIN, RSA1, is_line
from nacre.wire.codec import WireReader, mpint, mpint1, string, u8, u32

DEFAULT_BITS = 2048

CHALLENGE = 32
"""Bytes of a challenge."""

_PLAIN, _ENCRYPTED = 0, legacy.CIPHERS["3des"]
_DIGITS = 2500  # more than the digits of a modulus of 8192 bits


class RSA1PublicKey(PublicKey):
    """An RSA1 public key. It verifies no signatures: in SSH-1 the private key decrypts a challenge.

    SSH-1 defines no ``blob``; nacre's has the form of SSH-2: a name, the exponent, the modulus.

    :ivar verifier: encrypts challenges.
    """

    __slots__ = ("verifier",)

    def __init__(self, verifier: RSA1Verifier) -> None:
        numbers = mpint(verifier.e) + mpint(verifier.n)
        super().__init__(RSA1, numbers, (RSA1,), verifier.n.bit_length())
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> RSA1PublicKey:
        """Decode the fields behind the type's name."""
        e, n = reader.mpint(), reader.mpint()
        return cls(RSA1Verifier(n, e))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return False

    @property
    def certifiable_algorithms(self) -> tuple[str, ...]:
        return ()  # SSH-1 has no certificates

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """Return the fingerprint of the modulus and the exponent, as SSH-1's programs show it."""
        return fingerprint(fields(self.verifier), hash_name)

    def __str__(self) -> str:
        """Return the key as in ``authorized_keys``: bits, exponent, modulus."""
        return f"{self.bits} {self.verifier.e} {self.verifier.n}"


class RSA1PrivateKey(PrivateKey):
    """An RSA1 private key.

    :ivar signer: decrypts challenges.
    """

    __slots__ = ("signer",)

    public: RSA1PublicKey

    def __init__(self, signer: RSA1Signer, comment: str = "") -> None:
        super().__init__(RSA1PublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> RSA1PrivateKey:
        """Make a new key with a modulus of ``bits``, by default 2048."""
        bits = DEFAULT_BITS if bits is None else bits
        low, high = 1024, BITS[1]
        if not low <= bits <= high:
            raise KeyFormatError(f"a new RSA1 key has from {low} to {high} bits, not {bits}")
        return cls(RSA1Signer.generate(bits))

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> RSA1PrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        n, e, d, iqmp, p, q = (reader.mpint() for _ in range(6))
        return cls(RSA1Signer(RSANumbers(n=n, e=e, d=d, p=p, q=q, iqmp=iqmp)))

    def secret_fields(self) -> bytes:
        key = self.signer.numbers
        return b"".join(map(mpint, (key.n, key.e, key.d, key.iqmp, key.p, key.q)))

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        """Return the response to a challenge: ``data`` is the session id and the challenge."""
        challenge = int.from_bytes(data[16:], "big")
        return legacy.challenge_response(
            self.signer.decrypt(challenge, CHALLENGE, os.urandom), data[:16]
        )


# --- lines ---


def parse_words(words: list[str]) -> RSA1PublicKey:
    """Return the key in the first three words.

    The number of bits is not checked: old programs counted them in other ways.

    :raises KeyFormatError: they hold no key.
    """
    if not is_line(words) or any(len(word) > _DIGITS for word in words[:3]):
        raise KeyFormatError("not an RSA1 key: bits, exponent and modulus are expected")
    return RSA1PublicKey(RSA1Verifier(int(words[2]), int(words[1])))


# --- private files ---


def decode(data: bytes, passphrase: bytes | None) -> RSA1PrivateKey:
    """Return the private key in ``data``, a file of format 1.1.

    :raises KeyFormatError: the file is damaged.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    try:
        reader = WireReader(data, len(BEGIN))
        cipher, public, comment = _decode_front(reader)
        encrypted = cipher != _PLAIN
        if encrypted and not passphrase:
            raise PassphraseRequired("the private key is encrypted: a passphrase is needed")
        secret = reader.rest()
        if len(secret) % legacy.BLOCK:
            raise KeyFormatError("the private key file is damaged: it was cut off")
        if encrypted:
            secret = _cipher(passphrase or b"", encrypt=False).update(secret)
        return _decode_secret(secret, public, comment, encrypted=encrypted)
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError("the private key file is damaged: a field of it is cut off") from None


def public_half(data: bytes) -> RSA1PublicKey:
    """Return the public key of a file of format 1.1.

    :raises KeyFormatError: the file is damaged.
    """
    try:
        return _decode_front(WireReader(data, len(BEGIN)))[1]
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError("the private key file is damaged: a field of it is cut off") from None


def _decode_front(reader: WireReader) -> tuple[int, RSA1PublicKey, str]:
    cipher = reader.u8()
    if cipher not in (_PLAIN, _ENCRYPTED):
        raise KeyFormatError(
            f"the private key is encrypted with cipher {cipher}; only 3DES is supported"
        )
    reader.u32()  # reserved
    reader.u32()  # bits
    n, e = reader.mpint1(), reader.mpint1()
    return cipher, RSA1PublicKey(RSA1Verifier(n, e)), reader.text()


def _decode_secret(
    secret: bytes, public: RSA1PublicKey, comment: str, *, encrypted: bool
) -> RSA1PrivateKey:
    if secret[:2] != secret[2:4] or len(secret) < 4:
        if encrypted:
            raise PassphraseRequired("the passphrase is wrong, or the private key is damaged")
        raise KeyFormatError("the private key file is damaged")
    reader = WireReader(secret, 4)
    try:
        d, iqmp, q, p = (reader.mpint1() for _ in range(4))
        verifier = public.verifier
        signer = RSA1Signer(RSANumbers(n=verifier.n, e=verifier.e, d=d, p=p, q=q, iqmp=iqmp))
    except (MalformedMessage, KeyFormatError):
        if encrypted:
            # One wrong passphrase in 65536 passes the check above.
            raise PassphraseRequired("the passphrase is wrong, or the key is damaged") from None
        raise
    return RSA1PrivateKey(signer, comment)


def encode(key: RSA1PrivateKey, passphrase: bytes | None, random: Random = os.urandom) -> bytes:
    """Return ``key`` as a file of format 1.1.

    :param passphrase: None or an empty one leaves the key unencrypted. The format's encryption is
        weak: 3DES with a single MD5 of the passphrase.
    """
    numbers = key.signer.numbers
    check = random(2)
    secret = check * 2 + b"".join(map(mpint1, (numbers.d, numbers.iqmp, numbers.q, numbers.p)))
    secret += bytes(-len(secret) % legacy.BLOCK)
    if passphrase:
        secret = _cipher(passphrase, encrypt=True).update(secret)
    return b"".join(
        (
            BEGIN,
            u8(_ENCRYPTED if passphrase else _PLAIN),
            u32(0),
            u32(key.public.bits),
            mpint1(numbers.n),
            mpint1(numbers.e),
            string(key.comment.encode("utf-8", "surrogateescape")),
            secret,
        )
    )


def _cipher(passphrase: bytes, *, encrypt: bool) -> legacy.Cipher:
    key = hashlib.md5(passphrase, usedforsecurity=False).digest()
    return legacy.cipher("3des", key, encrypt=encrypt)
