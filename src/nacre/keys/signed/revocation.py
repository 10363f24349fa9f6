"""Revoked keys and certificates: KRLs (OpenSSH's ``PROTOCOL.krl``), and lists of public keys.

:func:`load` takes the content of a ``RevokedKeys`` or ``RevokedHostKeys`` file, which is either.
:class:`RevocationList` is a KRL to build, change and write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, Protocol

from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.files import decode_blob
from nacre.keys.fingerprint import fingerprint
from nacre.keys.key import decode_public
from nacre.keys.signed.serials import MOST_ENTRIES, SERIAL_SECTIONS, EntryBudget, Serials
from nacre.keys.times import show_time
from nacre.wire.codec import WireReader, string, text, u8, u32, u64
from nacre.wire.text import safe, safe_name

if TYPE_CHECKING:
    from nacre.keys.certificate import Certificate

__all__ = [
    "MAXIMUM_SIZE",
    "RevocationList",
    "Revocations",
    "RevokedCertificates",
    "RevokedKeys",
    "load",
    "parse",
    "unreadable",
]

MAXIMUM_SIZE = 16 * 1024 * 1024
"""Bytes of a file of revoked keys."""

_MAGIC = b"SSHKRL\n\0"
_FORMAT = 1
_MOST_SIGNATURES = 8  # each covers the whole list
_MOST_AUTHORITIES = 4096
_LEAST_RSA_BITS = 1024
_KEY_ID = 0x23
_CERTIFICATES_EXTENSION = 0x39
_ANY_AUTHORITY = b""


class Revocations(Protocol):
    """What tells whether a key is revoked."""

    def refusal(self, key: PublicKey) -> str | None:
        """Return why a key or a certificate is revoked, or None if it is not.

        A certificate is revoked with the key in it and with its authority's key, too.
        """


class Section(IntEnum):
    """The types of a KRL's sections."""

    CERTIFICATES = 1
    EXPLICIT_KEY = 2
    FINGERPRINT_SHA1 = 3
    SIGNATURE = 4
    FINGERPRINT_SHA256 = 5
    EXTENSION = 255


class RevokedCertificates:
    """The certificates of one authority, or of all, that are revoked by number or by name.

    :ivar serials: their serial numbers.
    :ivar key_ids: their key ids.
    """

    def __init__(self) -> None:
        self.serials = Serials()
        self.key_ids: set[str] = set()

    def refusal(self, certificate: Certificate) -> str | None:
        """Return why a certificate of the authority is revoked, or None."""
        if certificate.key_id in self.key_ids:
            return f"the certificate with the key id {safe(certificate.key_id, 64)} is revoked"
        if certificate.serial and certificate.serial in self.serials:
            return f"the certificate with the serial number {certificate.serial} is revoked"
        return None

    def decode(self, reader: WireReader, budget: EntryBudget) -> None:
        """Add what the sections in ``reader`` name."""
        while reader.remaining:
            budget.take()
            kind, body = reader.u8(), WireReader(reader.string())
            if kind == _KEY_ID:
                while body.remaining:
                    budget.take()
                    self.key_ids.add(body.text())
            elif kind in SERIAL_SECTIONS:
                self.serials.decode(kind, body.rest(), budget)
            elif kind == _CERTIFICATES_EXTENSION:
                _skip_extension(body)
            else:
                raise KeyFormatError(f"the KRL has certificates by {kind:#x}, which is unknown")

    def encode(self) -> bytes:
        """Return the sections."""
        encoded = self.serials.encode()
        if self.key_ids:
            ids = sorted(
                string(name.encode("utf-8", "surrogateescape"))[4:] for name in self.key_ids
            )
            encoded += u8(_KEY_ID) + string(b"".join(map(string, ids)))
        return encoded


class RevocationList:
    """A KRL: revoked keys, and revoked certificates of authorities.

    :ivar version: the number of this edition of the list; its owner counts it.
    :ivar generated: seconds since the epoch at which it was written; 0 before that.
    :ivar comment: the owner's text.
    :ivar keys: the blobs of revoked keys.
    :ivar sha1: the SHA-1 hashes of blobs of revoked keys.
    :ivar sha256: the SHA-256 hashes of blobs of revoked keys.
    :ivar certificates: for the blob of each authority's key the certificates that are revoked; an
        empty blob stands for every authority.
    :ivar signers: the keys that have signed the list; whether to trust them is the caller's.
    """

    def __init__(self) -> None:
        self.version = 0
        self.generated = 0
        self.comment = ""
        self.keys: set[bytes] = set()
        self.sha1: set[bytes] = set()
        self.sha256: set[bytes] = set()
        self.certificates: dict[bytes, RevokedCertificates] = {}
        self.signers: tuple[PublicKey, ...] = ()

    # --- queries ---

    def refusal(self, key: PublicKey) -> str | None:
        """Return why a key or a certificate is revoked, or None if it is not."""
        blob = key.plain.blob
        if (
            blob in self.keys
            or sha1(blob, usedforsecurity=False).digest() in self.sha1
            or sha256(blob).digest() in self.sha256
        ):
            return f"the key {key.fingerprint()} is revoked"
        certificate = _as_certificate(key)
        if certificate is None:
            return None
        for authority in (certificate.authority.blob, _ANY_AUTHORITY):
            found = self.certificates.get(authority)
            refused = None if found is None else found.refusal(certificate)
            if refused is not None:
                return refused
        refused = self.refusal(certificate.authority)
        return None if refused is None else f"the certificate's authority: {refused}"

    # --- changes ---

    def add_key(self, key: PublicKey) -> None:
        """Revoke a key; of a certificate the key in it, with which every other one is revoked."""
        self.keys.add(key.plain.blob)

    def add_sha1(self, key: PublicKey) -> None:
        """Revoke a key by its SHA-1 hash."""
        self.sha1.add(sha1(key.plain.blob, usedforsecurity=False).digest())

    def add_sha256(self, key: PublicKey) -> None:
        """Revoke a key by its SHA-256 hash, from which the key can't be told."""
        self.sha256.add(sha256(key.plain.blob).digest())

    def add_hash(self, digest: bytes) -> None:
        """Revoke the key that has this SHA-256 hash.

        :raises KeyFormatError: it is not one.
        """
        _add_hash(self.sha256, digest, 32)

    def add_serials(self, authority: PublicKey | None, low: int, high: int) -> None:
        """Revoke the certificates with the serial numbers from ``low`` to ``high``.

        :param authority: the key that has signed them; None for every authority.
        :raises KeyFormatError: they are not numbers of certificates, or the list is full.
        """
        self._of(authority).serials.add(low, high)

    def add_key_id(self, authority: PublicKey | None, key_id: str) -> None:
        """Revoke the certificates with a key id.

        :param authority: the key that has signed them; None for every authority.
        """
        self._of(authority).key_ids.add(key_id)

    def add(self, key: PublicKey) -> None:
        """Revoke a key, or one certificate by its serial number; by its key id if it has none."""
        certificate = _as_certificate(key)
        if certificate is None:
            self.add_key(key)
        elif certificate.serial:
            self.add_serials(certificate.authority, certificate.serial, certificate.serial)
        else:
            self.add_key_id(certificate.authority, certificate.key_id)

    def _of(self, authority: PublicKey | None) -> RevokedCertificates:
        blob = _ANY_AUTHORITY if authority is None else authority.plain.blob
        return self.certificates.setdefault(blob, RevokedCertificates())

    # --- files ---

    def encode(self, now: int, sign_with: Sequence[PrivateKey] = ()) -> bytes:
        """Return the KRL.

        :param now: seconds since the epoch.
        :param sign_with: keys that sign it. OpenSSH makes no use of signatures of KRLs.
        """
        parts = [
            _MAGIC,
            u32(_FORMAT),
            u64(self.version),
            u64(now),
            u64(0),  # flags
            string(b""),  # reserved
            text(self.comment),
        ]
        for authority, revoked in self.certificates.items():
            body = string(authority) + string(b"") + revoked.encode()
            parts.append(u8(Section.CERTIFICATES) + string(body))
        for kind, blobs in (
            (Section.EXPLICIT_KEY, self.keys),
            (Section.FINGERPRINT_SHA1, self.sha1),
            (Section.FINGERPRINT_SHA256, self.sha256),
        ):
            if blobs:
                parts.append(u8(kind) + string(b"".join(map(string, sorted(blobs)))))
        encoded = b"".join(parts)
        for key in sign_with:
            encoded += u8(Section.SIGNATURE) + string(key.public.blob)
            encoded += string(key.sign(encoded, key.public.signature_algorithms[0]))
        return encoded

    @classmethod
    def decode(cls, data: bytes) -> RevocationList:
        """Return the KRL in ``data``.

        An unknown section, and an unknown extension that is critical, are errors: what they revoke
        would be accepted otherwise. So is a signature that does not verify.

        :raises KeyFormatError: it is not a KRL, or one that can't be used.
        """
        if not data.startswith(_MAGIC):
            raise KeyFormatError("this is no KRL: it does not begin with SSHKRL")
        if len(data) > MAXIMUM_SIZE:
            raise KeyFormatError(f"the KRL is larger than {MAXIMUM_SIZE} bytes")
        made = cls()
        reader = WireReader(data, len(_MAGIC))
        try:
            made._decode(reader, data)
        except MalformedMessage as error:
            raise KeyFormatError(f"the KRL is damaged: {error}") from error
        return made

    def _decode(self, reader: WireReader, data: bytes) -> None:
        version = reader.u32()
        if version != _FORMAT:
            raise KeyFormatError(f"the KRL has the format {version}; known is {_FORMAT}")
        self.version, self.generated = reader.u64(), reader.u64()
        reader.u64()  # flags: none are defined
        reader.string()  # reserved
        self.comment = reader.text()
        budget = EntryBudget()
        while reader.remaining:
            budget.take()
            kind, body = reader.u8(), reader.string()
            if kind == Section.SIGNATURE:
                signed = data[: len(data) - reader.remaining]
                self._verify(body, reader.string(), signed)
            elif self.signers:
                raise KeyFormatError("the KRL has sections behind its signatures")
            elif kind in _SECTIONS:
                _SECTIONS[Section(kind)](self, WireReader(body), budget)
            else:
                raise KeyFormatError(f"the KRL has a section of the type {kind}, which is unknown")

    def _verify(self, blob: bytes, signature: bytes, signed: bytes) -> None:
        if len(self.signers) >= _MOST_SIGNATURES:
            raise KeyFormatError(f"the KRL has more than {_MOST_SIGNATURES} signatures")
        key = decode_public(blob)
        algorithm = WireReader(signature).text()
        if not key.verify(signature, signed, algorithm):
            raise KeyFormatError(f"the KRL's signature by {key.fingerprint()} does not verify")
        self.signers += (key,)

    def _decode_certificates(self, reader: WireReader, budget: EntryBudget) -> None:
        authority = reader.string()
        reader.string()  # reserved
        if authority and authority not in self.certificates:
            if len(self.certificates) >= _MOST_AUTHORITIES:
                raise KeyFormatError(f"the KRL has more than {_MOST_AUTHORITIES} authorities")
            decode_public(authority)
        self.certificates.setdefault(authority, RevokedCertificates()).decode(reader, budget)

    def _decode_keys(self, reader: WireReader, budget: EntryBudget) -> None:
        while reader.remaining:
            budget.take()
            self.keys.add(reader.string())

    def _decode_sha1(self, reader: WireReader, budget: EntryBudget) -> None:
        while reader.remaining:
            budget.take()
            _add_hash(self.sha1, reader.string(), 20)

    def _decode_sha256(self, reader: WireReader, budget: EntryBudget) -> None:
        while reader.remaining:
            budget.take()
            _add_hash(self.sha256, reader.string(), 32)

    def __str__(self) -> str:
        """Return the list as ``ssh-keygen -Ql`` prints it, in lines that ``-k`` takes."""
        made = show_time(self.generated).replace("-", "").replace(":", "")
        lines = [f"# KRL version {self.version}", f"# Generated at {made}"]
        if self.comment:
            lines.append(f"# Comment: {_shown(self.comment)}")
        lines.append("")
        lines += (f"hash: {fingerprint(blob)} # {_type_of(blob)}" for blob in sorted(self.keys))
        lines += (f"hash: SHA256:{digest.hex()}" for digest in sorted(self.sha256))
        lines += (f"# hash SHA1:{digest.hex()}" for digest in sorted(self.sha1))
        for authority, revoked in self.certificates.items():
            lines += ["", _authority_line(authority)]
            lines += (
                f"serial: {low}" if low == high else f"serial: {low}-{high}"
                for low, high in revoked.serials.ranges
            )
            lines += (f"id: {_shown(name)}" for name in sorted(revoked.key_ids))
        return "\n".join(lines)


_SECTIONS: dict[Section, Callable[[RevocationList, WireReader, EntryBudget], None]] = {
    Section.CERTIFICATES: RevocationList._decode_certificates,
    Section.EXPLICIT_KEY: RevocationList._decode_keys,
    Section.FINGERPRINT_SHA1: RevocationList._decode_sha1,
    Section.FINGERPRINT_SHA256: RevocationList._decode_sha256,
    Section.EXTENSION: lambda _, reader, budget: _skip_extension(reader),
}


def _authority_line(blob: bytes) -> str:
    if blob == _ANY_AUTHORITY:
        return "# Wildcard CA"
    return f"# CA key {_type_of(blob)} {fingerprint(blob)}"


def _shown(value: str) -> str:
    return safe(value, keep="\\")


def _type_of(blob: bytes) -> str:
    try:
        return safe_name(WireReader(blob).text())
    except MalformedMessage:
        return "(no name)"


def _add_hash(hashes: set[bytes], digest: bytes, size: int) -> None:
    if len(digest) != size:
        raise KeyFormatError(f"a hash of a key has {len(digest)} bytes; expected are {size}")
    hashes.add(digest)


def _skip_extension(reader: WireReader) -> None:
    """Check that an extension need not be known.

    :raises KeyFormatError: it is critical.
    """
    name, critical = reader.text(), reader.boolean()
    reader.string()
    reader.end()
    if critical:
        raise KeyFormatError(f"the KRL has the critical extension {safe(name, 64)}: it is unknown")


def _as_certificate(key: PublicKey) -> Certificate | None:
    if key.plain is key:
        return None
    from nacre.keys.certificate import Certificate

    assert isinstance(key, Certificate)
    return key


class RevokedKeys:
    """A list of revoked public keys, one a line."""

    def __init__(self, data: bytes) -> None:
        """Take the lines of a file. Comments and empty lines are skipped, as are short RSA keys.

        :raises KeyFormatError: a line is not a public key.
        """
        self._blobs: set[bytes] = set()
        if data.count(b"\n") > MOST_ENTRIES:
            raise KeyFormatError(f"the list has more than {MOST_ENTRIES} lines")
        for number, line in enumerate(data.split(b"\n"), 1):
            words = line.decode("utf-8", "surrogateescape").split(None, 2)
            if not words or words[0].startswith("#"):
                continue
            try:
                blob = _blob(words)
                if not _is_short(blob):
                    self._blobs.add(decode_public(blob).plain.blob)
            except KeyFormatError as error:
                raise KeyFormatError(f"line {number}: {error}") from None

    def refusal(self, key: PublicKey) -> str | None:
        """Return why a key or a certificate is revoked, or None if it is not."""
        if key.plain.blob in self._blobs:
            return f"the key {key.fingerprint()} is revoked"
        certificate = _as_certificate(key)
        if certificate is not None and certificate.authority.blob in self._blobs:
            return f"the certificate's authority {certificate.authority.fingerprint()} is revoked"
        return None


def _blob(words: list[str]) -> bytes:
    if len(words) < 2:
        raise KeyFormatError("not a public key: expected a type and base64")
    return decode_blob(words[0], words[1])


def _is_short(blob: bytes) -> bool:
    """Return whether an RSA key is too short for anybody to use, as those in old lists."""
    reader = WireReader(blob)
    try:
        if reader.text() != "ssh-rsa":
            return False
        reader.mpint()  # the exponent
        return reader.mpint().bit_length() < _LEAST_RSA_BITS
    except MalformedMessage:
        return False


class _Unreadable:
    """Revokes every key: which ones the file names is not known."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def refusal(self, key: PublicKey) -> str | None:
        return f"which keys are revoked can't be read: {self._reason}"


def unreadable(reason: str) -> Revocations:
    """Return what revokes every key, because the file of revoked keys can't be read."""
    return _Unreadable(reason)


def parse(data: bytes) -> Revocations:
    """Return what a file of revoked keys says: a KRL, or a list of public keys.

    :raises KeyFormatError: it can't be used.
    """
    return RevocationList.decode(data) if data.startswith(_MAGIC) else RevokedKeys(data)


def load(data: bytes) -> Revocations:
    """Return what a file of revoked keys says; one that can't be used revokes every key."""
    try:
        return parse(data)
    except KeyFormatError as error:
        return unreadable(str(error))
