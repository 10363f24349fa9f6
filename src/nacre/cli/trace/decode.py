"""SSH-2 messages decoded for display: their names in the RFCs and their fields, without secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys import decode_public
from nacre.protocol.requests import KNOWN_REQUESTS, Env
from nacre.ssh2.auth import messages as auth
from nacre.ssh2.connection import messages as connection
from nacre.ssh2.transport import messages as transport
from nacre.wire.codec import WireReader
from nacre.wire.message import Message, Record
from nacre.wire.numbers import Msg
from nacre.wire.text import safe

HIDDEN = "<hidden>"

_MOST_LISTED = 64

_COMMON: dict[int, type[Message]] = {
    kind.NUMBER: kind
    for kind in (
        transport.Disconnect,
        transport.Ignore,
        transport.Unimplemented,
        transport.Debug,
        transport.ServiceRequest,
        transport.ServiceAccept,
        transport.KexInit,
        transport.NewKeys,
        transport.Ping,
        transport.Pong,
        auth.UserauthRequest,
        auth.UserauthFailure,
        auth.UserauthSuccess,
        auth.UserauthBanner,
    )
} | connection.MESSAGES

_GEX: dict[int, tuple[str, type[Message]]] = {
    34: ("KEX_DH_GEX_REQUEST", transport.GexRequest),
    31: ("KEX_DH_GEX_GROUP", transport.GexGroup),
    32: ("KEX_DH_GEX_INIT", transport.GexInit),
    33: ("KEX_DH_GEX_REPLY", transport.GexReply),
}
_GSS: dict[int, tuple[str, type[Message]]] = {
    30: ("KEXGSS_INIT", transport.GssInitiate),
    31: ("KEXGSS_CONTINUE", transport.GssContinue),
    32: ("KEXGSS_COMPLETE", transport.GssComplete),
    33: ("KEXGSS_HOSTKEY", transport.GssHostKey),
    34: ("KEXGSS_ERROR", transport.GssError),
}
_METHODS: dict[str, dict[int, tuple[str, type[Message]]]] = {
    "publickey": {60: ("USERAUTH_PK_OK", auth.PublicKeyOk)},
    auth.HOST_BOUND: {60: ("USERAUTH_PK_OK", auth.PublicKeyOk)},
    "password": {60: ("USERAUTH_PASSWD_CHANGEREQ", auth.PasswordChangeRequest)},
    "keyboard-interactive": {
        60: ("USERAUTH_INFO_REQUEST", auth.InfoRequest),
        61: ("USERAUTH_INFO_RESPONSE", auth.InfoResponse),
    },
    "gssapi-with-mic": {
        60: ("USERAUTH_GSSAPI_RESPONSE", auth.MechanismChosen),
        61: ("USERAUTH_GSSAPI_TOKEN", auth.SecurityToken),
        64: ("USERAUTH_GSSAPI_ERROR", auth.SecurityError),
        65: ("USERAUTH_GSSAPI_ERRTOK", auth.SecurityErrorToken),
        66: ("USERAUTH_GSSAPI_MIC", auth.SecurityMIC),
    },
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message without its secrets.

    :ivar name: its name in the RFCs, such as ``SSH_MSG_KEXINIT``.
    :ivar fields: names and values: texts, numbers, lists. Long and secret values are replaced by
        texts in ``<>``.
    """

    number: int
    name: str
    fields: dict[str, Any]


class Decoder:
    """Decodes the messages of one connection.

    It needs all of them: the meaning of some numbers depends on earlier messages.

    :ivar kex: the negotiated key exchange method.
    """

    AUTHENTICATION = frozenset({transport.ServiceRequest.NUMBER, transport.ServiceAccept.NUMBER})
    """Numbers of the messages that begin the authentication phase."""

    def __init__(self) -> None:
        self.kex = ""
        self._method = ""

    def decode(self, payload: bytes) -> Decoded:
        """Decode a payload; a malformed message gets the field ``error``."""
        number = payload[0]
        name, kind = self._look_up(number)
        name = f"SSH_MSG_{name}"
        try:
            if number == transport.ExtInfo.NUMBER:
                return Decoded(number, name, _extensions(transport.ExtInfo.decode(payload)))
            if kind is None:
                return Decoded(number, name, {"data": _size(payload[1:])})
            message = kind.decode(payload)
            if isinstance(message, auth.UserauthRequest):
                self._method = message.method
            return Decoded(number, name, show(message))
        except MalformedMessage as error:
            return Decoded(number, name, {"error": str(error)})

    def _look_up(self, number: int) -> tuple[str, type[Message] | None]:
        if 30 <= number < 50:
            return self._kex_message(number)
        if 60 <= number < 80:
            found = _METHODS.get(self._method, {}).get(number)
            return found or (f"USERAUTH_{number}", None)
        try:
            return Msg(number).name, _COMMON.get(number)
        except ValueError:
            return str(number), None

    def _kex_message(self, number: int) -> tuple[str, type[Message] | None]:
        special = _GSS if self.kex.startswith("gss-") else _GEX
        if special is _GSS or "group-exchange" in self.kex:
            return special.get(number, (f"KEX_{number}", None))
        family = "KEXDH" if self.kex.startswith("diffie") else "KEX_ECDH"
        family = "KEX_HYBRID" if self.kex.startswith("mlkem") else family
        kinds: dict[int, tuple[str, type[Message]]] = {
            30: (f"{family}_INIT", transport.KexInitiate),
            31: (f"{family}_REPLY", transport.KexReply),
        }
        return kinds.get(number, (f"KEX_{number}", None))


def show(record: Record) -> dict[str, Any]:
    """Return a record's fields for display, without those that are secret."""
    special = _SPECIAL.get(type(record))
    shown = special(record) if special else {}
    names = record.FIELDS
    plain = {n: _value(n, getattr(record, n)) for n in names if n not in record.SECRETS}
    return {name: value for name, value in (plain | shown).items() if value is not None}


def _value(name: str, value: Any) -> Any:
    match value:
        case bytes() if name in ("host_key", "blob"):
            return _key(value)
        case bytes() if name == "cookie":
            return value.hex()
        case bytes():
            return _size(value)
        case str():
            return safe(value, 4096)
        case tuple():
            return [safe(item, 4096) for item in value]
        case int() if value >= 1 << 64:
            return f"<{value.bit_length()} bits>"
    return value


def _size(data: bytes) -> str:
    return f"<{len(data)} bytes>"


def _key(blob: bytes) -> str:
    try:
        key = decode_public(blob)
    except KeyFormatError:
        return _size(blob)
    return f"{key.type} {key.fingerprint()}"


def _extensions(message: transport.ExtInfo) -> dict[str, Any]:
    return {
        safe(name, 256): _size(value)
        if name == "publickey-hostbound@openssh.com"
        else safe(value, 4096)
        for name, value in message.extensions.items()
    }


def _userauth(request: auth.UserauthRequest) -> dict[str, Any]:
    return _FIELDS.get(request.method, _unknown_fields)(request.fields)


def _publickey(data: bytes) -> dict[str, Any]:
    signed = WireReader(data).boolean()
    kind = auth.PublicKeyRequest if signed else auth.PublicKeyQuery
    return show(kind.decode(data))


def _host_bound(data: bytes) -> dict[str, Any]:
    signed = WireReader(data).boolean()
    kind = auth.HostBoundRequest if signed else auth.HostBoundQuery
    return show(kind.decode(data))


def _password(data: bytes) -> dict[str, Any]:
    change = WireReader(data).boolean()
    return {"change": change, "password": HIDDEN} | ({"new": HIDDEN} if change else {})


def _unknown_fields(data: bytes) -> dict[str, Any]:
    return {"fields": HIDDEN} if data else {}


_FIELDS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "publickey": _publickey,
    auth.HOST_BOUND: _host_bound,
    "password": _password,
    "keyboard-interactive": lambda data: show(auth.InteractiveRequest.decode(data)),
    "gssapi-with-mic": lambda data: {"mechanisms": auth.MechanismsRequest.decode(data).count},
    "gssapi-keyex": lambda data: show(auth.KeyexRequest.decode(data)),
}


def _info_request(request: auth.InfoRequest) -> dict[str, Any]:
    if request.count > _MOST_LISTED:
        return {"encoded": _size(request.encoded)}
    prompts = [{"text": safe(p.text), "echo": p.echo} for p in request.prompts()]
    return {"encoded": None, "prompts": prompts}


def _channel_request(request: connection.ChannelRequest) -> dict[str, Any]:
    kind = KNOWN_REQUESTS.get(request.name)
    if kind is None:
        return {}
    details = kind.decode(request.data)
    shown = {f"{request.name} {name}": value for name, value in show(details).items()}
    if isinstance(details, Env):
        # Environment variables may hold tokens and passwords.
        shown[f"{request.name} value"] = HIDDEN
    command = getattr(details, "command", None)
    if isinstance(command, bytes):
        shown[f"{request.name} command"] = safe(command, 4096)
    return {"data": None} | shown


def _global_request(request: connection.GlobalRequest) -> dict[str, Any]:
    if request.name != "hostkeys-00@openssh.com":
        return {}
    reader = WireReader(request.data)
    keys: list[str] = []
    while len(keys) < _MOST_LISTED:
        try:
            keys.append(_key(reader.string()))
        except MalformedMessage:
            break
    return {"data": None, "keys": keys}


_SPECIAL: dict[type[Record], Callable[[Any], dict[str, Any]]] = {
    auth.UserauthRequest: _userauth,
    auth.InfoRequest: _info_request,
    auth.InfoResponse: lambda response: {"responses": HIDDEN},
    connection.ChannelRequest: _channel_request,
    connection.GlobalRequest: _global_request,
}
