"""A security key in software, with the browser that it is plugged into."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor

PRESENT, _ATTESTED = 1, 64


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(f"{text}==")


class SoftKey:
    """A key with one credential of ES256.

    :ivar counter: the signature counter; None for a key that has none.
    """

    def __init__(self, counter: int | None = 0) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.credential = os.urandom(32)
        self.counter = counter

    def create(
        self, options: Mapping[str, Any], origin: str, form: str = "none", **changes: Any
    ) -> dict[str, Any]:
        """Answer navigator.credentials.create().

        :param form: the format of the attestation.
        :param changes: see :meth:`_data` and :meth:`_client`.
        """
        point = self._private.public_key().public_numbers()
        public: dict[int, Any] = {1: 2, 3: -7, -1: 1}
        public |= {-2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential
        data = self._data(options["rp"]["id"], PRESENT | _ATTESTED, **changes)
        data += attested + cbor.encode(public)
        said = self._client("webauthn.create", options, origin, **changes)
        statement: dict[str, Any] = {}
        if form == "packed":
            statement = {"alg": -7, "sig": self._sign(data, said)}
        made = cbor.encode({"fmt": form, "attStmt": statement, "authData": data})
        return self._answer(clientDataJSON=base64url(said), attestationObject=base64url(made))

    def get(self, options: Mapping[str, Any], origin: str, **changes: Any) -> dict[str, Any]:
        """Answer navigator.credentials.get(); the counter goes up before."""
        if self.counter is not None:
            self.counter += 1
        data = self._data(options["rpId"], PRESENT, **changes)
        said = self._client("webauthn.get", options, origin, **changes)
        return self._answer(
            clientDataJSON=base64url(said),
            authenticatorData=base64url(data),
            signature=base64url(self._sign(data, said)),
            userHandle=changes.get("handle"),
        )

    def _data(self, asked: str, flags: int, **changes: Any) -> bytes:
        rp_id = changes.get("rp_id", asked)
        flags &= ~changes.get("without", 0)
        counter = (self.counter or 0).to_bytes(4, "big")
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + counter

    def _client(self, kind: str, options: Mapping[str, Any], origin: str, **changes: Any) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": origin}
        said |= {"crossOrigin": False, **changes.get("client", {})}
        return json.dumps(said).encode()

    def _sign(self, data: bytes, said: bytes) -> bytes:
        return self._private.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))

    def _answer(self, **response: Any) -> dict[str, Any]:
        number = base64url(self.credential)
        return {
            "id": number,
            "rawId": number,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }
