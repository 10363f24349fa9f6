"""FIDO security keys of this machine: keys are made there, and sign there (CTAP 2).

The functions block until the user has touched the security key: call them in a thread. They need
the package ``fido2``, the extra ``fido``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Timer
from typing import TYPE_CHECKING, Any, TypeAlias

from nacre.errors import UnusableKey
from nacre.keys.families.security_key import (
    ECDSA,
    ED25519,
    AlreadyKept,
    Enrolled,
    PinRequired,
    SecurityFlags,
    SecurityPrivateKey,
    SecurityPublicKey,
)
from nacre.keys.key import decode_public
from nacre.wire.codec import string, text
from nacre.wire.text import safe

if TYPE_CHECKING:
    from fido2.ctap import CtapDevice, CtapError
    from fido2.ctap2.base import Ctap2

TIMEOUT = 60.0
"""Seconds for a touch."""

APPLICATION = "ssh:"
"""The usual name of what a key is for; the names of all keys of SSH begin with it."""

USER = "nacre"
"""The name of the user that a security key shows where none is given."""

Devices: TypeAlias = "Callable[[], Iterable[CtapDevice]]"
"""Returns the security keys that are connected."""

_COSE = {ECDSA: -7, ED25519: -8}
"""The numbers of the algorithms (RFC 9053)."""

_PROTECTED, _VERIFIED = 2, 3
"""Levels of credProtect (CTAP 2.1 section 12.1): the handle or the user's PIN; the PIN always."""

_USER_ID = 32


def connected() -> Iterable[CtapDevice]:
    """Return the security keys at USB.

    :raises UnusableKey: the package ``fido2`` is not installed.
    """
    _check_installed()
    from fido2.hid import CtapHidDevice

    try:
        return list(CtapHidDevice.list_devices())
    except OSError as error:
        raise UnusableKey(f"security keys can't be used: {error}") from error


def at(path: str) -> Iterable[CtapDevice]:
    """Return the security key at a path, such as ``/dev/hidraw0``.

    :raises UnusableKey: it can't be used, or the package ``fido2`` is not installed.
    """
    _check_installed()
    from fido2.hid import open_device

    try:
        return [open_device(path)]
    except (OSError, ValueError) as error:
        raise UnusableKey(f"{safe(path)} can't be used as a security key: {error}") from error


def sign(
    key: SecurityPrivateKey,
    data: bytes,
    *,
    pin: str | None = None,
    timeout: float = TIMEOUT,
    cancelled: Event | None = None,
    devices: Devices = connected,
) -> bytes:
    """Have the security key of ``key`` sign ``data``; returns the signature in wire form.

    :param timeout: seconds for the touch.
    :param cancelled: the wait for the touch ends when this is set.
    :raises PinRequired: the PIN is needed.
    :raises UnusableKey: no connected security key has the key, or it was not touched in time.
    """
    application = key.public.application.decode("utf-8", "replace")
    handle: list[Mapping[str, Any]] = [{"type": "public-key", "id": key.handle}]
    digest = hashlib.sha256(data).digest()
    with _device(devices, application, handle) as ctap, _told(timeout, cancelled) as event:
        verified = bool(key.flags & SecurityFlags.VERIFY)
        options = {} if key.flags & SecurityFlags.TOUCH else {"up": False}
        protocol, parameter = _authorized(
            ctap, pin, digest, options, application, needed=verified, making=False
        )
        answer = ctap.get_assertion(
            application,
            digest,
            handle,
            options=options or None,
            pin_uv_param=parameter,
            pin_uv_protocol=protocol,
            event=event,
        )
    flags, counter = int(answer.auth_data.flags), answer.auth_data.counter
    made = answer.signature if key.public.type == ED25519 else _ecdsa(answer.signature)
    signature = key.assembled(made, flags, counter)
    if not key.public.verify(signature, data, key.public.type):
        raise UnusableKey("the security key's signature does not verify")
    return signature


def enroll(
    type: str,
    *,
    application: str = APPLICATION,
    user: str = "",
    flags: SecurityFlags = SecurityFlags.TOUCH,
    challenge: bytes,
    pin: str | None = None,
    timeout: float = TIMEOUT,
    cancelled: Event | None = None,
    devices: Devices = connected,
) -> Enrolled:
    """Have a security key make a key.

    :param type: ``sk-ssh-ed25519@openssh.com`` or ``sk-ecdsa-sha2-nistp256@openssh.com``.
    :param user: the user's name, for keys that the security key keeps; at most 32 bytes.
    :param flags: what the key needs; with RESIDENT the security key keeps it, and with FORCE in
        place of the one that it has for the application and the user.
    :param challenge: random bytes that the attestation is bound to.
    :raises AlreadyKept: the security key keeps such a key already, and FORCE is not in ``flags``.
    :raises PinRequired: the PIN is needed.
    :raises UnusableKey: the security key refuses, or was not touched in time.
    """
    digest = hashlib.sha256(challenge).digest()
    resident = bool(flags & SecurityFlags.RESIDENT)
    verified = bool(flags & SecurityFlags.VERIFY)
    identifier = user.encode()[:_USER_ID].ljust(_USER_ID, b"\0")
    options = {"rk": True} if resident else {}
    with _device(devices, application, None) as ctap, _told(timeout, cancelled) as event:
        extensions = {}
        if (resident or verified) and "credProtect" in ctap.info.extensions:
            extensions["credProtect"] = _VERIFIED if verified else _PROTECTED
        elif verified:
            raise UnusableKey("this security key can't bind a key to its PIN (verify-required)")
        if (
            resident
            and not flags & SecurityFlags.FORCE
            and _keeps(ctap, application, identifier, pin)
        ):
            raise AlreadyKept("the security key keeps a key for this application and user already")
        protocol, parameter = _authorized(
            ctap, pin, digest, options, application, needed=resident or verified, making=True
        )
        made = ctap.make_credential(
            digest,
            {"id": application, "name": application},
            {"id": identifier, "name": user or USER, "displayName": user or USER},
            [{"type": "public-key", "alg": _COSE[type]}],
            extensions=extensions or None,
            options=options or None,
            pin_uv_param=parameter,
            pin_uv_protocol=protocol,
            event=event,
        )
    credential = made.auth_data.credential_data
    if credential is None:
        raise UnusableKey("the security key returned no key")
    public = _public(type, credential.public_key, application)
    kept = flags & ~SecurityFlags.FORCE
    certificates = made.att_stmt.get("x5c") or [b""]
    return Enrolled(
        SecurityPrivateKey(public, kept, bytes(credential.credential_id)),
        bytes(certificates[0]),
        bytes(made.att_stmt.get("sig", b"")),
        _cbor(made.auth_data),
    )


def _keeps(ctap: Ctap2, application: str, user: bytes, pin: str | None) -> bool:
    """Tell whether a security key keeps a key for the application and the user.

    A new one would take its place (CTAP 2.1 section 6.1.2).
    """
    from fido2.ctap import CtapError

    digest, options = bytes(32), {"up": False}
    protocol, parameter = _authorized(
        ctap, pin, digest, options, application, needed=True, making=False
    )
    try:
        kept = ctap.get_assertions(
            application,
            digest,
            options=options,
            pin_uv_param=parameter,
            pin_uv_protocol=protocol,
        )
    except CtapError as error:
        if error.code == CtapError.ERR.NO_CREDENTIALS:
            return False
        raise
    return any(bytes((one.user or {}).get("id", b"")) == user for one in kept)


def resident(
    *,
    pin: str | None = None,
    timeout: float = TIMEOUT,
    cancelled: Event | None = None,
    devices: Devices = connected,
) -> list[tuple[SecurityPrivateKey, str]]:
    """Return the keys of SSH that a security key keeps, and the names of their users.

    :raises PinRequired: no PIN was given, or a wrong one.
    :raises UnusableKey: the security key keeps no keys.
    """
    if pin is None:
        raise PinRequired("the security key wants its PIN")
    _check_installed()
    from fido2.ctap2.credman import CredentialManagement
    from fido2.ctap2.pin import ClientPin

    found: list[tuple[SecurityPrivateKey, str]] = []
    with _device(devices, APPLICATION, None) as ctap, _told(timeout, cancelled):
        if not CredentialManagement.is_supported(ctap.info):
            raise UnusableKey("this security key does not list the keys that it keeps")
        client = ClientPin(ctap)
        token = client.get_pin_token(pin, ClientPin.PERMISSION.CREDENTIAL_MGMT)
        management = CredentialManagement(ctap, client.protocol, token)
        result = CredentialManagement.RESULT
        if not management.get_metadata().get(result.EXISTING_CRED_COUNT):
            return []
        for party in management.enumerate_rps():
            application = party[result.RP]["id"]
            if not application.startswith(APPLICATION):
                continue
            kept = management.enumerate_creds(party[result.RP_ID_HASH])
            found += [
                (key, _user(one[result.USER])) for one in kept if (key := _kept(one, application))
            ]
    return found


def _kept(one: Any, application: str) -> SecurityPrivateKey | None:
    from fido2.ctap2.credman import CredentialManagement

    result = CredentialManagement.RESULT
    cose = one[result.PUBLIC_KEY]
    types = {number: type for type, number in _COSE.items()}
    type = types.get(cose.get(3))
    if type is None:
        return None
    flags = SecurityFlags.TOUCH | SecurityFlags.RESIDENT
    if one.get(result.CRED_PROTECT) == _VERIFIED:
        flags |= SecurityFlags.VERIFY
    handle = bytes(one[result.CREDENTIAL_ID]["id"])
    return SecurityPrivateKey(_public(type, cose, application), flags, handle)


def _user(entity: Any) -> str:
    name: str = bytes(entity["id"]).rstrip(b"\0").decode("utf-8", "replace")
    return name


# --- one security key ---


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("fido2") is None:
        raise UnusableKey(
            "security keys need the package fido2, which is not installed: "
            "pip install 'nacre[fido]', or let an agent sign"
        )


@contextmanager
def _device(
    devices: Devices, application: str, handle: list[Mapping[str, Any]] | None
) -> Iterator[Ctap2]:
    """Choose a security key: the only one, or the one that knows the handle."""
    _check_installed()
    from fido2.ctap import CtapError
    from fido2.ctap2.base import Ctap2

    found = list(devices())
    try:
        usable = []
        for device in found:
            try:
                usable.append(Ctap2(device))
            except (ValueError, CtapError):
                continue  # an old one, which speaks CTAP 1 alone
        if not usable:
            raise UnusableKey("no security key is connected that can be used: plug it in")
        if len(usable) > 1:
            usable = [ctap for ctap in usable if handle and _knows(ctap, application, handle)]
        if not usable:
            raise UnusableKey(
                "none of the connected security keys has this key"
                if handle
                else "several security keys are connected: leave one"
            )
        yield usable[0]
    finally:
        for device in found:
            device.close()


def _knows(ctap: Ctap2, application: str, handle: list[Mapping[str, Any]]) -> bool:
    from fido2.ctap import CtapError

    try:
        ctap.get_assertion(application, bytes(32), handle, options={"up": False})
    except CtapError as error:
        return error.code != CtapError.ERR.NO_CREDENTIALS
    return True


@contextmanager
def _told(timeout: float, cancelled: Event | None) -> Iterator[Event]:
    """Bound what is done by time, and raise UnusableKey for the errors of a security key."""
    from fido2.ctap import CtapError

    event = cancelled or Event()
    timer = Timer(timeout, event.set)
    timer.daemon = True
    timer.start()
    try:
        yield event
    except CtapError as error:
        raise _failure(error) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableKey(f"the security key failed: {safe(str(error), 200)}") from error
    finally:
        timer.cancel()


def _failure(error: CtapError) -> UnusableKey:
    name = getattr(error.code, "name", "")
    if name in _WANT_PIN:
        return PinRequired(_WANT_PIN[name])
    return UnusableKey(_REASONS.get(name) or f"the security key refuses: {error.code}")


_WANT_PIN = {
    "PIN_AUTH_INVALID": "the PIN of the security key is wrong",
    "PIN_INVALID": "the PIN of the security key is wrong",
    "PIN_TOKEN_EXPIRED": "the security key wants its PIN",
    "PUAT_REQUIRED": "the security key wants its PIN",
}

_REASONS = {
    "ACTION_TIMEOUT": "the security key was not touched in time",
    "CREDENTIAL_EXCLUDED": "the security key has a key for this already",
    "KEEPALIVE_CANCEL": "the security key was not touched in time",
    "KEY_STORE_FULL": "the security key has no room for another key: remove one",
    "NO_CREDENTIALS": "the security key does not have this key: is it another one?",
    "OPERATION_DENIED": "the user of the security key refused",
    "PIN_AUTH_BLOCKED": "the security key takes no PIN before it is plugged in again",
    "PIN_BLOCKED": "the security key is locked after too many wrong PINs: it must be reset",
    "PIN_NOT_SET": "the security key has no PIN: set one first",
    "UNSUPPORTED_ALGORITHM": "the security key makes no keys of this type: try the other one",
    "USER_ACTION_TIMEOUT": "the security key was not touched in time",
    "UV_BLOCKED": "the security key takes no fingerprint before its PIN is given",
}
"""What errors of CTAP 2 mean."""


def _authorized(
    ctap: Ctap2,
    pin: str | None,
    digest: bytes,
    options: dict[str, bool],
    application: str,
    *,
    needed: bool,
    making: bool,
) -> tuple[int | None, bytes | None]:
    """Return the protocol and the proof of the PIN, or ask for the security key's own check."""
    from fido2.ctap2.pin import ClientPin

    if pin is None:
        if needed:
            if not ctap.info.options.get("uv"):
                raise PinRequired("the security key wants its PIN")
            options["uv"] = True
        return None, None
    client = ClientPin(ctap)
    permission = ClientPin.PERMISSION
    wanted = permission.MAKE_CREDENTIAL if making else permission.GET_ASSERTION
    token = client.get_pin_token(pin, wanted, application)
    return client.protocol.VERSION, client.protocol.authenticate(token, digest)


# --- forms ---


def _public(type: str, cose: Any, application: str) -> SecurityPublicKey:
    fields = string(bytes(cose[-2]))
    if type == ECDSA:
        point = b"\x04" + bytes(cose[-2]).rjust(32, b"\0") + bytes(cose[-3]).rjust(32, b"\0")
        fields = text("nistp256") + string(point)
    key = decode_public(text(type) + fields + text(application))
    assert isinstance(key, SecurityPublicKey)
    return key


def _ecdsa(der: bytes) -> bytes:
    """Return a signature in the form of RFC 5656 section 3.1.2."""
    from nacre.crypto.signatures.ecdsa import from_der
    from nacre.wire.codec import mpint

    r, s = from_der(der)
    return mpint(r) + mpint(s)


def _cbor(data: bytes) -> bytes:
    """Return bytes in CBOR (RFC 8949), the form in which an attestation has them."""
    from fido2 import cbor

    return bytes(cbor.encode(data))
