"""OpenSSH certificates: a public key that an authority has signed (``PROTOCOL.certkeys``).

A :class:`Certificate` is a public key whose signatures are those of the key that it certifies. A
:class:`CertifiedKey` is a private key with the certificate of its public half.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from nacre.crypto.signatures.certified import certified, plain
from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.base import Presence, PrivateKey, PublicKey
from nacre.keys.patterns import matches
from nacre.wire.codec import Buffer, WireReader, string, text, u32, u64
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.crypto.packets.seal import Random

FOREVER = (1 << 64) - 1
"""The end of a certificate that does not end."""

USER_EXTENSIONS = (
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
)
"""What a user's certificate permits by default, as with ``ssh-keygen -s``."""

MOST_PRINCIPALS = 256
"""Principals of one certificate; OpenSSH has the same bound."""

_NONCE = 32
_MOST_SERIAL = (1 << 64) - 1


class CertificateType(IntEnum):
    """Whom a certificate is for."""

    USER = 1
    HOST = 2


class Certificate(PublicKey):
    """A certificate. Its authority's signature was verified when it was decoded.

    :ivar key: the certified key.
    :ivar nonce: random bytes of the authority, so that it signs nothing that others choose.
    :ivar serial: the authority's number for it; 0 if it gives none.
    :ivar kind: the number of :class:`CertificateType`, or another one, which is for nobody.
    :ivar key_id: the authority's text about the owner, for logs; make it safe before printing it.
    :ivar principals: the names of users or hosts that it is for; see :meth:`refusal` if there are
        none.
    :ivar valid_after: seconds since the epoch from which it is valid.
    :ivar valid_before: seconds since the epoch from which it is no longer valid.
    :ivar critical_options: conditions; a certificate with one that is not known is refused.
    :ivar extensions: what it permits; unknown ones are ignored.
    :ivar authority: the key that signed it.
    :ivar signature: the authority's, in wire form.
    """

    __slots__ = (
        "authority",
        "critical_options",
        "extensions",
        "key",
        "key_id",
        "kind",
        "nonce",
        "principals",
        "rsa",
        "serial",
        "signature",
        "valid_after",
        "valid_before",
    )

    key: PublicKey
    nonce: bytes
    serial: int
    kind: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical_options: Mapping[str, bytes]
    extensions: Mapping[str, bytes]
    authority: PublicKey
    signature: bytes

    def __init__(self, key: PublicKey, fields: bytes) -> None:
        """Prepare; use :func:`decode` or :meth:`issue`."""
        algorithms = tuple(certified(name) for name in key.certifiable_algorithms)
        super().__init__(certified(key.type), fields, algorithms, key.bits)
        self.key = key
        self.rsa = key.rsa

    def check(self, type: str, fields: bytes, signed: int) -> None:
        """Check the key's form and the authority's signature, once all fields are set.

        :raises KeyFormatError: they are wrong.
        """
        canonical = string(self.nonce) + self.key.blob[4 + len(self.key.type) :]
        if type != self.type or not fields.startswith(canonical):
            raise KeyFormatError("the certificate is damaged: its key has needless bytes")
        data = self.blob[: len(self.blob) - len(fields) + signed]
        if not self.authority.verify(self.signature, data, self.signature_algorithm):
            raise KeyFormatError("the certificate's signature does not verify")

    @classmethod
    def issue(
        cls,
        key: PublicKey,
        authority: PrivateKey,
        *,
        kind: Literal["user", "host"] = "user",
        key_id: str = "",
        principals: Iterable[str] = (),
        valid_after: int = 0,
        valid_before: int = FOREVER,
        serial: int = 0,
        critical_options: Mapping[str, bytes] | None = None,
        extensions: Mapping[str, bytes] | None = None,
        algorithm: str | None = None,
        random: Random = os.urandom,
    ) -> Certificate:
        """Certify ``key`` with the key of an authority.

        :param key: the key to certify; a certificate is certified anew by its key.
        :param kind: ``user`` for logins, ``host`` for servers.
        :param principals: the names of the users or hosts that it is for.
        :param valid_after: seconds since the epoch; ``valid_before`` likewise.
        :param critical_options: for users ``force-command``, ``source-address`` and
            ``verify-required``; their data is what :func:`option` returns.
        :param extensions: by default :data:`USER_EXTENSIONS` for users, and none for hosts.
        :param algorithm: the signature's; by default the strongest of ``authority``.
        :param random: returns random bytes, for the nonce.
        :raises UnusableKey: the authority can't sign.
        :raises KeyFormatError: a field is out of its bounds, or ``key`` can't be certified.
        """
        if extensions is None:
            extensions = dict.fromkeys(USER_EXTENSIONS, b"") if kind == "user" else {}
        request = CertificateRequest(
            key.plain,
            authority.public.plain,
            kind=kind,
            key_id=key_id,
            principals=principals,
            valid_after=valid_after,
            valid_before=valid_before,
            serial=serial,
            critical_options=critical_options or {},
            extensions=extensions,
            nonce=random(_NONCE),
        )
        return request.signed(
            authority.sign(request.data, algorithm or authority.public.signature_algorithms[0])
        )

    @property
    def plain(self) -> PublicKey:
        return self.key

    @property
    def certifiable_algorithms(self) -> tuple[str, ...]:
        return ()

    @property
    def signature_algorithm(self) -> str:
        """The algorithm with which the authority signed."""
        return safe(WireReader(self.signature).text(), 64)

    def verify(self, signature: bytes, data: bytes, algorithm: str) -> bool:
        """Return whether ``signature`` was made with the certified key.

        Its name is that of the plain algorithm.
        """
        if algorithm not in self.signature_algorithms:
            return False
        return self.key.verify(signature, data, plain(algorithm))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return False

    def presence(self, signature: bytes) -> Presence | None:
        return self.key.presence(signature)

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """Return the fingerprint of the certified key, as OpenSSH does."""
        return self.key.fingerprint(hash_name)

    @property
    def label(self) -> str:
        """The type, the key's fingerprint, the key id, the number and the authority, for logs."""
        identity = f"ID {safe(self.key_id, 256)} (serial {self.serial})"
        return f"{super().label} {identity} CA {self.authority.label}"

    def refusal(
        self,
        kind: Literal["user", "host"],
        name: str | None = None,
        *,
        now: float,
        patterns: bool = False,
        needs_principals: bool = True,
    ) -> str | None:
        """Return why the certificate can't be used by ``name`` now, or None.

        Whether its authority is trusted, its critical options and revocation are the caller's.

        :param name: the user or host; None if the caller compares the principals.
        :param now: seconds since the epoch.
        :param patterns: whether principals may be patterns, as those of hosts.
        :param needs_principals: whether a certificate without principals is refused, or is for all.
        """
        if self.kind != CertificateType[kind.upper()]:
            return f"it is not a {kind}'s certificate"
        if now < self.valid_after:
            return "the certificate is not yet valid"
        if now >= self.valid_before:
            return "the certificate has expired"
        if not self.principals:
            return "the certificate has no principals" if needs_principals else None
        if name is None or _names(self.principals, name, patterns=patterns):
            return None
        return f"{safe(name, 64)} is not among the certificate's principals"


def decode(
    type: str, reader: WireReader, take_key: Callable[[str, WireReader], PublicKey]
) -> Certificate:
    """Decode what follows the type's name, and verify the authority's signature.

    :param take_key: decodes the fields of a plain key of the type named.
    :raises KeyFormatError: a field can't be used, or the signature does not verify.
    :raises MalformedMessage: a field is cut off.
    """
    fields = reader.rest()
    reader = WireReader(fields)
    nonce = reader.string()
    key = take_key(plain(type), reader)
    made = Certificate(key, fields)
    made.nonce = nonce
    made.serial, made.kind, made.key_id = reader.u64(), reader.u32(), reader.text()
    made.principals = _principals(reader.string())
    made.valid_after, made.valid_before = reader.u64(), reader.u64()
    made.critical_options = _options("critical options", reader.string())
    made.extensions = _options("extensions", reader.string())
    reader.string()  # reserved
    authority = WireReader(reader.string())
    made.authority = take_key(authority.text(), authority)
    authority.end()
    signed = len(fields) - len(reader.rest())
    reader = WireReader(fields, signed)
    made.signature = reader.string()
    reader.end()
    made.check(type, fields, signed)
    return made


def _names(principals: Collection[str], name: str, *, patterns: bool) -> bool:
    return any(matches(name, one) if patterns else name == one for one in principals)


class CertificateRequest:
    """A certificate without its signature, for authorities that another program holds.

    The parameters are those of :meth:`Certificate.issue`.

    :ivar data: the bytes to sign.
    """

    def __init__(
        self,
        key: PublicKey,
        authority: PublicKey,
        *,
        kind: Literal["user", "host"],
        key_id: str,
        principals: Iterable[str],
        valid_after: int,
        valid_before: int,
        serial: int,
        critical_options: Mapping[str, bytes],
        extensions: Mapping[str, bytes],
        nonce: bytes,
    ) -> None:
        names = tuple(principals)
        if not key.certifiable_algorithms:
            raise KeyFormatError(f"a key of type {key.type} can't be certified")
        if not 0 <= serial <= _MOST_SERIAL:
            raise KeyFormatError(f"a serial number is from 0 to {_MOST_SERIAL}, not {serial}")
        if not 0 <= valid_after < valid_before <= FOREVER:
            raise KeyFormatError("a certificate must end after it begins")
        if len(names) > MOST_PRINCIPALS or "" in names:
            raise KeyFormatError(f"a certificate has at most {MOST_PRINCIPALS} names, none empty")
        self._key = key
        self._authority = authority
        self._type = string(certified(key.type).encode("ascii"))
        fields = (
            string(nonce),
            key.blob[4 + len(key.type) :],
            u64(serial),
            u32(CertificateType[kind.upper()]),
            text(key_id),
            string(b"".join(map(text, names))),
            u64(valid_after),
            u64(valid_before),
            string(_encoded(critical_options)),
            string(_encoded(extensions)),
            string(b""),
            string(authority.blob),
        )
        self._fields = b"".join(fields)
        self.data = self._type + self._fields

    def signed(self, signature: bytes) -> Certificate:
        """Return the certificate with the authority's signature, in wire form.

        :raises KeyFormatError: the signature is not the authority's.
        """
        keys = iter((self._key, self._authority))

        def take(type: str, reader: WireReader) -> PublicKey:
            found = next(keys)
            reader.fixed(len(found.blob) - 4 - len(found.type))
            return found

        reader = WireReader(self._fields + string(signature))
        try:
            return decode(certified(self._key.type), reader, take)
        except MalformedMessage as error:
            raise KeyFormatError(f"the authority's signature is damaged: {error}") from None


def option(value: str) -> bytes:
    """Return the data of a critical option or extension with a text, such as a command."""
    return text(value)


def _encoded(options: Mapping[str, bytes]) -> bytes:
    # PROTOCOL.certkeys: in the order of their names.
    return b"".join(text(name) + string(options[name]) for name in sorted(options))


def _principals(data: Buffer) -> tuple[str, ...]:
    reader = WireReader(data)
    found: list[str] = []
    while reader.remaining:
        found.append(reader.text())
        if len(found) > MOST_PRINCIPALS:
            raise KeyFormatError(f"a certificate has at most {MOST_PRINCIPALS} principals")
    return tuple(found)


def _options(what: str, data: Buffer) -> Mapping[str, bytes]:
    reader = WireReader(data)
    found: dict[str, bytes] = {}
    while reader.remaining:
        name = reader.text()
        if name in found:
            raise KeyFormatError(f"the certificate's {what} have {safe(name, 64)} twice")
        found[name] = reader.string()
    return found


class CertifiedKey(PrivateKey):
    """A private key with the certificate of its public half; ``public`` is the certificate.

    :ivar private: the private key.
    """

    __slots__ = ("private",)

    def __init__(self, certificate: Certificate, private: PrivateKey) -> None:
        if certificate.key != private.public:
            raise UnusableKey(
                f"the certificate is for the key {certificate.fingerprint()}, "
                f"not for {private.public.fingerprint()}"
            )
        super().__init__(certificate, private.comment)
        self.private = private

    @property
    def plain(self) -> PrivateKey:
        return self.private

    @property
    def held(self) -> bool:  # type: ignore[override]
        """Whether another program holds the private key."""
        return self.private.held

    def sign(self, data: bytes, algorithm: str) -> bytes:
        if algorithm not in self.public.signature_algorithms:
            return super().sign(data, algorithm)  # which says what it can do
        return self.private.sign(data, plain(algorithm))

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        raise UnusableKey("a certificate has no signatures of its own")

    def secret_fields(self) -> bytes:
        raise UnusableKey("a file of a private key has no certificate in it: save the key itself")
