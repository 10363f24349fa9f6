"""Keys whose private half is on a FIDO security key (``PROTOCOL.u2f`` of OpenSSH).

The security key signs a structure of the FIDO standards, not the data itself. The signature names
whether its user touched it and was verified. Of the private key a file has the *handle*, with which
the security key finds or makes the private half again.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from enum import IntFlag

from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.base import Presence, PrivateKey, PublicKey
from nacre.keys.families.ecdsa import ECDSAPublicKey
from nacre.keys.families.eddsa import EdDSAPublicKey
from nacre.value import value
from nacre.wire.codec import WireReader, string, text, u8, u32
from nacre.wire.text import safe

ED25519 = "sk-ssh-ed25519@openssh.com"
ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
WEBAUTHN = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
"""The algorithm of signatures that a browser had a security key make."""

LARGEST_APPLICATION = 1024
"""Bytes of an application's name; the usual one is ``ssh:``."""

_TOUCHED = 0x01
_VERIFIED = 0x04
_ATTESTED = 0x40
_EXTENDED = 0x80

_Decode = Callable[[str, WireReader], PublicKey]

_INNER: dict[str, tuple[str, _Decode, tuple[str, ...]]] = {
    ED25519: ("ssh-ed25519", EdDSAPublicKey.decode, (ED25519,)),
    ECDSA: ("ecdsa-sha2-nistp256", ECDSAPublicKey.decode, (ECDSA, WEBAUTHN)),
}
"""For each type: the type of the key in it, what decodes that, and the signature algorithms."""


class PinRequired(UnusableKey):
    """The security key needs its PIN, and none or a wrong one was given."""


class AlreadyKept(UnusableKey):
    """The security key keeps a key for this application and user already."""


class SecurityFlags(IntFlag):
    """What the file of a private key says about its use.

    :cvar TOUCH: a signature needs a touch.
    :cvar VERIFY: a signature needs the user's PIN or fingerprint.
    :cvar FORCE: the key is made even if the security key loses another one for the same use.
    :cvar RESIDENT: the security key keeps the handle too.
    """

    TOUCH = 0x01
    VERIFY = 0x04
    FORCE = 0x10
    RESIDENT = 0x20


@value
class _Attested:
    """The fields of a signature behind its name.

    :ivar made: the signature proper.
    :ivar web: the fields of a browser's signature, ``(origin, client data, extensions)``, or None.
    """

    made: bytes
    flags: int
    counter: int
    web: tuple[bytes, bytes, bytes] | None


def _attested(reader: WireReader, algorithm: str) -> _Attested:
    made, flags, counter = reader.string(), reader.u8(), reader.u32()
    web = None
    if algorithm == WEBAUTHN:
        web = reader.string(), reader.string(), reader.string()
    reader.end()
    return _Attested(made, flags, counter, web)


def _client_data_hash(attested: _Attested, data: bytes) -> bytes | None:
    """Return the hash of what a browser signed, or None if that is not ``data``."""
    assert attested.web is not None
    origin, client_data, extensions = attested.web
    challenge = urlsafe_b64encode(data).rstrip(b"=")
    begin = b'{"type":"webauthn.get","challenge":"%b","origin":"%b"' % (challenge, origin)
    extended = bool(attested.flags & _EXTENDED)
    if b'"' in origin or attested.flags & _ATTESTED or extended != bool(extensions):
        return None
    return hashlib.sha256(client_data).digest() if client_data.startswith(begin) else None


class SecurityPublicKey(PublicKey):
    """The public half of a key on a security key.

    :ivar inner: the Ed25519 or ECDSA key in it.
    :ivar application: the bytes that name what the key is for, such as ``b"ssh:"``.
    """

    __slots__ = ("application", "inner")

    def __init__(self, type: str, inner: PublicKey, application: bytes) -> None:
        fields = inner.blob[4 + len(inner.type) :] + string(application)
        super().__init__(type, fields, _INNER[type][2], inner.bits)
        self.inner = inner
        self.application = application

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> SecurityPublicKey:
        """Decode the fields behind the type's name."""
        inner_type, decode, _ = _INNER[type]
        inner = decode(inner_type, reader)
        application = reader.string()
        if len(application) > LARGEST_APPLICATION or b"\0" in application:
            raise KeyFormatError("the name of the security key's application can't be used")
        return cls(type, inner, application)

    def _verify_fields(self, reader: WireReader, data: bytes, algorithm: str) -> bool:
        attested = _attested(reader, algorithm)
        if attested.web is None:
            digest, extensions = hashlib.sha256(data).digest(), b""
        else:
            found = _client_data_hash(attested, data)
            if found is None:
                return False
            digest, extensions = found, attested.web[2]
        signed = self.application_hash + u8(attested.flags) + u32(attested.counter)
        return self.inner._verify(attested.made, signed + extensions + digest, self.inner.type)

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return False

    @property
    def certifiable_algorithms(self) -> tuple[str, ...]:
        return (self.type,)

    @property
    def application_hash(self) -> bytes:
        """What the security key signs of the application's name."""
        return hashlib.sha256(self.application).digest()

    def presence(self, signature: bytes) -> Presence:
        reader = WireReader(signature)
        try:
            flags = _attested(reader, reader.text()).flags
        except MalformedMessage:
            flags = 0
        return Presence(bool(flags & _TOUCHED), bool(flags & _VERIFIED))


class SecurityPrivateKey(PrivateKey):
    """What the file of a private key on a security key holds. The security key has to sign.

    :ivar flags: what a signature needs; see :class:`SecurityFlags`.
    :ivar handle: the bytes that name the private half to the security key.
    """

    __slots__ = ("flags", "handle", "reserved")
    held = True
    public: SecurityPublicKey

    def __init__(
        self,
        public: SecurityPublicKey,
        flags: SecurityFlags,
        handle: bytes,
        *,
        reserved: bytes = b"",
        comment: str = "",
    ) -> None:
        super().__init__(public, comment)
        self.flags = flags
        self.handle = handle
        self.reserved = reserved

    @classmethod
    def generate(cls, type: str, bits: int | None) -> PrivateKey:
        raise UnusableKey(
            f"a key of type {type} is made by a security key: "
            "use nacre keygen -t ed25519-sk or -t ecdsa-sk"
        )

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> SecurityPrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        public = SecurityPublicKey.decode(type, reader)
        flags, handle, reserved = reader.u8(), reader.string(), reader.string()
        return cls(public, SecurityFlags(flags), handle, reserved=reserved)

    def secret_fields(self) -> bytes:
        public = self.public.blob[4 + len(self.public.type) :]
        return public + u8(self.flags) + string(self.handle) + string(self.reserved)

    def assembled(self, made: bytes, flags: int, counter: int) -> bytes:
        """Return a signature in wire form from what the security key answered.

        :param made: the signature proper, in the form of the key in this one.
        :param flags: the flags that the security key signed, and ``counter`` likewise.
        """
        return text(self.public.type) + string(made) + u8(flags) + u32(counter)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        raise UnusableKey(
            f"the private half is on a security key ({safe(self.public.application, 64)}), "
            "which has to sign: use an agent, or nacre.agent.tokens"
        )


@value
class Enrolled:
    """A new key, and how the security key attests that it made it.

    :ivar certificate: the security key's, in DER; empty if it has none.
    :ivar signature: over the authenticator data and the hash of the challenge.
    :ivar data: the authenticator data (WebAuthn section 6.1) in CBOR.
    """

    key: SecurityPrivateKey
    certificate: bytes
    signature: bytes
    data: bytes

    @property
    def attestation(self) -> bytes:
        """The file of ``-O write-attestation``: ``ssh-sk-attest-v01`` of OpenSSH's PROTOCOL.u2f."""
        joined = b"".join(map(string, (self.certificate, self.signature, self.data)))
        return text("ssh-sk-attest-v01") + joined + u32(0) + string(b"")
