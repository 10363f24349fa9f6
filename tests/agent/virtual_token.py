"""A FIDO security key in software, at the level of its messages (CTAP 2.1)."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from fido2 import cbor
from fido2.cose import ES256, CoseKey, EdDSA
from fido2.ctap import STATUS, CtapDevice, CtapError

ERR = CtapError.ERR
_AAGUID = bytes(16)
_CBOR = 0x10


class Refusal(Exception):
    """The security key answers with an error."""

    def __init__(self, code: CtapError.ERR) -> None:
        self.code = code


class VirtualToken(CtapDevice):
    """A security key.

    :ivar pin: its PIN, or None.
    :ivar untouched: nobody touches it: a request waits until it is cancelled.
    :ivar touches: how often it was touched.
    """

    def __init__(self, pin: str | None = None, *, ed25519: bool = True) -> None:
        self.pin = pin
        self.untouched = False
        self.touches = 0
        self.closed = 0
        self._ed25519 = ed25519
        self._kept: dict[bytes, dict[str, Any]] = {}
        self._agreement = ec.generate_private_key(ec.SECP256R1())
        self._token = os.urandom(32)
        self._counter = 0
        self._listing: list[Any] = []

    @property
    def capabilities(self) -> int:
        return 0x04  # CBOR

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        return iter(())

    def close(self) -> None:
        self.closed += 1

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        assert cmd == _CBOR
        arguments: Any = cbor.decode(data[1:]) if data[1:] else {}
        work = {1: self._make, 2: self._assert, 4: self._info, 6: self._client_pin}
        work |= {8: self._next_assertion, 10: self._list}
        try:
            answer = work[data[0]](arguments, event)
        except Refusal as refusal:
            return bytes([refusal.code])
        return b"\0" + (cbor.encode(answer) if answer else b"")

    def _info(self, arguments: Any, event: Event | None) -> Any:
        options = {"rk": True, "up": True, "credMgmt": True, "clientPin": self.pin is not None}
        return {
            1: ["FIDO_2_0", "FIDO_2_1"],
            2: ["credProtect"],
            3: _AAGUID,
            4: options,
            5: 1200,
            6: [1],
        }

    def _touch(self, event: Event | None) -> None:
        if self.untouched:
            assert event is not None
            assert event.wait(20)
            raise Refusal(ERR.KEEPALIVE_CANCEL)
        self.touches += 1

    def _verified(self, proof: bytes | None, message: bytes) -> bool:
        if proof is None:
            return False
        if not hmac.compare_digest(hmac.digest(self._token, message, "sha256")[:16], proof):
            raise Refusal(ERR.PIN_AUTH_INVALID)
        return True

    def _make(self, arguments: Any, event: Event | None) -> Any:
        digest, party, user, offers = (arguments[n] for n in (1, 2, 3, 4))
        extensions, options = arguments.get(6, {}), arguments.get(7, {})
        verified = self._verified(arguments.get(8), digest)
        if self.pin is not None and not verified:
            raise Refusal(ERR.PUAT_REQUIRED)
        number = offers[0]["alg"]
        if number == -8 and not self._ed25519:
            raise Refusal(ERR.UNSUPPORTED_ALGORITHM)
        self._touch(event)
        secret: Any
        if number == -8:
            secret = ed25519.Ed25519PrivateKey.generate()
            cose: CoseKey = EdDSA.from_cryptography_key(secret.public_key())
        else:
            secret = ec.generate_private_key(ec.SECP256R1())
            cose = ES256.from_cryptography_key(secret.public_key())
        handle = os.urandom(48)
        if options.get("rk"):
            for h in self._of(party["id"]):
                if self._kept[h]["user"]["id"] == user["id"]:
                    del self._kept[h]
        self._kept[handle] = {
            "secret": secret,
            "party": party["id"],
            "user": user,
            "cose": dict(cose),
            "resident": options.get("rk", False),
            "protection": extensions.get("credProtect", 1),
        }
        attested = _AAGUID + len(handle).to_bytes(2, "big") + handle + cbor.encode(dict(cose))
        data = self._data(party["id"], 0x41 | (0x04 if verified else 0), attested)
        signature = self._sign(secret, data + digest)
        return {1: "packed", 2: data, 3: {"alg": number, "sig": signature}}

    def _assert(self, arguments: Any, event: Event | None) -> Any:
        party, digest = arguments[1], arguments[2]
        options = arguments.get(5, {})
        verified = self._verified(arguments.get(6), digest)
        if 3 not in arguments:
            # Those that it keeps are found with the PIN alone (credProtect).
            known = self._of(party) if verified else []
        else:
            handles = [bytes(one["id"]) for one in arguments[3]]
            known = [h for h in handles if h in self._kept and self._kept[h]["party"] == party]
        if not known:
            raise Refusal(ERR.NO_CREDENTIALS)
        one = self._kept[known[0]]
        if one["protection"] == 3 and not verified:
            raise Refusal(ERR.NO_CREDENTIALS)
        touched = options.get("up", True)
        if touched:
            self._touch(event)
        data = self._data(party, int(touched) | (0x04 if verified else 0), b"")
        signature = self._sign(one["secret"], data + digest)
        answer = {1: {"type": "public-key", "id": known[0]}, 2: data, 3: signature}
        if 3 in arguments:
            return answer
        self._listing = [{**answer, 4: {"id": self._kept[h]["user"]["id"]}} for h in known]
        return {**self._listing.pop(0), 5: len(known)}

    def _next_assertion(self, arguments: Any, event: Event | None) -> Any:
        return self._listing.pop(0)

    def _of(self, party: str) -> list[bytes]:
        """Return the handles of the keys that it keeps for a party."""
        kept = self._kept.items()
        return [h for h, one in kept if one["resident"] and one["party"] == party]

    def _data(self, party: str, flags: int, attested: bytes) -> bytes:
        self._counter += 1
        begin = hashlib.sha256(party.encode()).digest() + bytes([flags])
        return begin + self._counter.to_bytes(4, "big") + attested

    def _sign(self, secret: Any, data: bytes) -> bytes:
        if isinstance(secret, ed25519.Ed25519PrivateKey):
            return secret.sign(data)
        made: bytes = secret.sign(data, ec.ECDSA(hashes.SHA256()))
        return made

    # --- the PIN (section 6.5, protocol one) ---

    def _client_pin(self, arguments: Any, event: Event | None) -> Any:
        if self.pin is None:
            raise Refusal(ERR.PIN_NOT_SET)
        if arguments[2] == 2:
            numbers = self._agreement.public_key().public_numbers()
            point = [n.to_bytes(32, "big") for n in (numbers.x, numbers.y)]
            return {1: {1: 2, 3: -25, -1: 1, -2: point[0], -3: point[1]}}
        peer = arguments[3]
        x, y = (int.from_bytes(peer[n], "big") for n in (-2, -3))
        numbers = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())
        shared = self._agreement.exchange(ec.ECDH(), numbers.public_key())
        cipher = Cipher(algorithms.AES(hashlib.sha256(shared).digest()), modes.CBC(bytes(16)))
        decryptor = cipher.decryptor()
        given = decryptor.update(arguments[6]) + decryptor.finalize()
        if given != hashlib.sha256(self.pin.encode()).digest()[:16]:
            raise Refusal(ERR.PIN_INVALID)
        encryptor = cipher.encryptor()
        return {2: encryptor.update(self._token) + encryptor.finalize()}

    # --- the keys that it keeps (section 6.8) ---

    def _list(self, arguments: Any, event: Event | None) -> Any:
        command = arguments[1]
        if command in (1, 2, 4):
            parameters = cbor.encode(arguments[2]) if 2 in arguments else b""
            self._verified(arguments.get(4), bytes([command]) + parameters)
        kept = {h: one for h, one in self._kept.items() if one["resident"]}
        if command == 1:
            return {1: len(kept), 2: 20}
        if command == 2:
            self._listing = sorted({one["party"] for one in kept.values()})
            return self._next_party(len(self._listing))
        if command == 3:
            return self._next_party(None)
        if command == 4:
            digest = arguments[2][1]
            self._listing = [
                (handle, one)
                for handle, one in kept.items()
                if hashlib.sha256(one["party"].encode()).digest() == digest
            ]
            return self._next_key(len(self._listing))
        return self._next_key(None)

    def _next_party(self, total: int | None) -> Any:
        party = self._listing.pop(0)
        answer = {3: {"id": party}, 4: hashlib.sha256(party.encode()).digest()}
        return answer if total is None else {**answer, 5: total}

    def _next_key(self, total: int | None) -> Any:
        handle, one = self._listing.pop(0)
        answer = {6: one["user"], 7: {"type": "public-key", "id": handle}, 8: one["cose"]}
        if total is not None:
            answer[9] = total
        return {**answer, 10: one["protection"]}
