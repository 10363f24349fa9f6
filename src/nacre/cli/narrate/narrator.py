"""A connection's events as lines of a log, each with its level.

VERBOSE has how the user was authenticated. DEBUG1 has the steps: versions, algorithms, keys and
methods. DEBUG2 has the proposals of both sides, and the messages of authentication by name. DEBUG3
has all messages by name. No line has the content of a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from nacre.aio.versions import SSH1
from nacre.config.values import LogLevel
from nacre.errors import MalformedMessage
from nacre.protocol.events import (
    AlgorithmsChosen,
    Authenticated,
    AuthResult,
    Event,
    KexDone,
    MessageSeen,
    VersionReceived,
)
from nacre.ssh2.auth.messages import UserauthRequest
from nacre.ssh2.transport.messages import ExtInfo, KexInit
from nacre.wire.numbers import Msg
from nacre.wire.text import safe

Say = Callable[[LogLevel, str], None]
"""Gets the level and the text of a line."""

_NAMES = {int(number): number.name for number in Msg}
_ARROWS = {"out": "send", "in": "receive"}
_SIDES = {"out": "local client", "in": "peer server"}
_PROPOSAL = (
    ("KEX algorithms", "kex"),
    ("host key algorithms", "host_key"),
    ("ciphers client->server", "ciphers_c2s"),
    ("ciphers server->client", "ciphers_s2c"),
    ("MACs client->server", "macs_c2s"),
    ("MACs server->client", "macs_s2c"),
    ("compression client->server", "compression_c2s"),
    ("compression server->client", "compression_s2c"),
)
_METHODS = {
    ("publickey", 60): "USERAUTH_PK_OK",
    ("password", 60): "USERAUTH_PASSWD_CHANGEREQ",
    ("keyboard-interactive", 60): "USERAUTH_INFO_REQUEST",
    ("keyboard-interactive", 61): "USERAUTH_INFO_RESPONSE",
}
_EXCHANGES = {30: "KEX_INIT", 31: "KEX_REPLY"}
_GROUP_EXCHANGES = {
    31: "KEX_DH_GEX_GROUP",
    32: "KEX_DH_GEX_INIT",
    33: "KEX_DH_GEX_REPLY",
    34: "KEX_DH_GEX_REQUEST",
}


class Narrator:
    """Tells what happens on one connection: call it with each event, as a trace of the connection.

    :param say: gets each line.
    :param fingerprint_hash: the hash of the fingerprints.
    """

    def __init__(self, say: Say, fingerprint_hash: str = "sha256") -> None:
        self._say = say
        self._hash = fingerprint_hash
        self._protocol = ""
        self._kex = ""
        self._method = ""

    def __call__(self, event: Event, time: float) -> None:
        """Tell about an event."""
        match event:
            case VersionReceived():
                self._protocol = event.protocol
                self._step(f"Local version string {event.local}")
                self._step(f"Remote version string {event.remote}")
            case MessageSeen():
                self._message(event.direction, event.payload)
            case AlgorithmsChosen():
                self._algorithms(event)
            case KexDone():
                key = event.host_key
                shown = "none" if key is None else f"{key.type} {key.fingerprint(self._hash)}"
                self._step(f"Server host key: {shown}")
            case AuthResult(outcome="success"):
                self._step(f"Authentication succeeded ({event.method}).")
            case AuthResult():
                methods = safe(",".join(event.can_continue))
                self._step(f"Authentications that can continue: {methods}")
            case Authenticated():
                methods = ",".join(event.methods)
                self._say(LogLevel.VERBOSE, f'Authenticated using "{methods}".')

    def _step(self, text: str) -> None:
        self._say(LogLevel.DEBUG1, text)

    def _algorithms(self, event: AlgorithmsChosen) -> None:
        chosen = event.chosen
        self._kex = chosen.kex
        self._step(f"kex: algorithm: {chosen.kex}")
        self._step(f"kex: host key algorithm: {chosen.host_key}")
        for arrow, cipher, mac, compression in (
            ("server->client", chosen.cipher_s2c, chosen.mac_s2c, chosen.compression_s2c),
            ("client->server", chosen.cipher_c2s, chosen.mac_c2s, chosen.compression_c2s),
        ):
            self._step(f"kex: {arrow} cipher: {cipher} MAC: {mac} compression: {compression}")

    # --- messages ---

    def _message(self, direction: Literal["in", "out"], payload: bytes) -> None:
        number = payload[0]
        try:
            if self._protocol == SSH1:
                name, level = _ssh1_name(number)
            else:
                name, level = self._name(number), _level(number)
                self._note(direction, number, payload)
        except MalformedMessage:
            name, level = f"{number}, malformed", LogLevel.DEBUG2
        self._say(level, f"{_ARROWS[direction]} packet: {name}")

    def _name(self, number: int) -> str:
        if 30 <= number < 50:
            group = "group-exchange" in self._kex
            name = (_GROUP_EXCHANGES if group else _EXCHANGES).get(number, f"KEX_{number}")
        elif 60 <= number < 80:
            name = _METHODS.get((self._method, number), f"USERAUTH_{number}")
        else:
            name = _NAMES.get(number, str(number))
        return f"SSH_MSG_{name}"

    def _note(self, direction: Literal["in", "out"], number: int, payload: bytes) -> None:
        """Tell what a message means for what comes after it."""
        if number == Msg.NEWKEYS:
            # OpenSSH's words: scripts count key exchanges by them.
            self._step(f"SSH2_MSG_NEWKEYS {'sent' if direction == 'out' else 'received'}")
        elif number == KexInit.NUMBER:
            proposal = KexInit.decode(payload)
            self._say(LogLevel.DEBUG2, f"{_SIDES[direction]} KEXINIT proposal")
            for label, field in _PROPOSAL:
                names = safe(",".join(getattr(proposal, field)), 4096)
                self._say(LogLevel.DEBUG2, f"{label}: {names}")
        elif number == UserauthRequest.NUMBER:
            method = UserauthRequest.decode(payload).method
            if method not in ("none", self._method):
                self._step(f"Next authentication method: {safe(method)}")
            self._method = method
        elif number == ExtInfo.NUMBER:
            names = safe(", ".join(ExtInfo.decode(payload).extensions), 4096)
            self._say(LogLevel.DEBUG2, f"extensions of the {_SIDES[direction]}: {names}")


def _level(number: int) -> LogLevel:
    """Return the level of a message of SSH-2: those of authentication are told earlier."""
    authentication = number in (Msg.SERVICE_REQUEST, Msg.SERVICE_ACCEPT) or 50 <= number < 80
    return LogLevel.DEBUG2 if authentication else LogLevel.DEBUG3


def _ssh1_name(number: int) -> tuple[str, LogLevel]:
    from nacre.ssh1.messages import SSH1Msg

    try:
        name = SSH1Msg(number).name
    except ValueError:
        return f"SSH_MSG_{number}", LogLevel.DEBUG3
    authentication = "AUTH" in name or name == SSH1Msg.CMSG_USER.name
    full = f"SSH_{name}" if name[1:5] == "MSG_" else f"SSH_MSG_{name}"
    return full, LogLevel.DEBUG2 if authentication else LogLevel.DEBUG3
