"""A security key in software, at the level of its signatures (``PROTOCOL.u2f`` of OpenSSH)."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode

from nacre.keys import PrivateKey, generate
from nacre.keys.families.security_key import (
    _INNER,
    ECDSA,
    ED25519,
    WEBAUTHN,
    SecurityFlags,
    SecurityPrivateKey,
    SecurityPublicKey,
)
from nacre.wire.codec import WireReader, string, text, u8, u32

TYPES = (ED25519, ECDSA)


class SoftKey:
    """A key of this type, with both halves.

    :ivar private: what its file holds; ``public``: its public half.
    """

    def __init__(self, type: str = ED25519, application: bytes = b"ssh:") -> None:
        self._inner: PrivateKey = generate(_INNER[type][0])
        self.application = application
        self.public = SecurityPublicKey(type, self._inner.public, application)
        self.private = SecurityPrivateKey(
            self.public, SecurityFlags.TOUCH, b"a handle", comment="soft"
        )

    def made(self, signed: bytes) -> bytes:
        """Return the signature proper over what a security key signs."""
        reader = WireReader(self._inner.sign(signed, self._inner.public.type))
        reader.string()
        return reader.string()

    def sign(self, data: bytes, *, flags: int = 1, counter: int = 7) -> bytes:
        """Return a signature over ``data``, with these flags."""
        begin = hashlib.sha256(self.application).digest() + u8(flags) + u32(counter)
        made = self.made(begin + hashlib.sha256(data).digest())
        return self.private.assembled(made, flags, counter)

    def browse(
        self,
        data: bytes,
        *,
        flags: int = 1,
        origin: str = "https://example.com",
        extensions: bytes = b"",
        client_data: bytes | None = None,
        told: str | None = None,
    ) -> bytes:
        """Return a signature over ``data`` as a browser has it made.

        :param client_data: the browser's text, if it is not the one of ``data`` and ``origin``.
        :param told: the origin beside the text, if it is another one.
        """
        if client_data is None:
            challenge = urlsafe_b64encode(data).decode().rstrip("=")
            found = {"type": "webauthn.get", "challenge": challenge, "origin": origin, "more": 1}
            client_data = json.dumps(found, separators=(",", ":")).encode()
        begin = hashlib.sha256(self.application).digest() + u8(flags) + u32(9)
        made = self.made(begin + extensions + hashlib.sha256(client_data).digest())
        origin = origin if told is None else told
        fields = (text(WEBAUTHN), string(made), u8(flags), u32(9), text(origin))
        return b"".join((*fields, string(client_data), string(extensions)))
