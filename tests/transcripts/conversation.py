"""What both sides of a recorded SSH-2 conversation share: an engine with all its input fixed.

Randomness comes from a seed, the clock stands still, and whatever goes onto the wire by default
(algorithm lists, window sizes) is fixed here or in the transcript, so that a new default does not
change a recorded conversation.

The key exchange of a server must not be ML-KEM's, and no key may be of ECDSA or DSA: the library
draws the randomness of these itself.
"""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from nacre.crypto.packets.seal import Random
from nacre.errors import Disconnected
from nacre.keys import PrivateKey, dump_private, load_private
from nacre.limits import KIB, MIB, Limits
from nacre.protocol.engine import Engine
from nacre.protocol.events import (
    Authenticated,
    AuthResult,
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    ConnectionEnded,
    Data,
    EofReceived,
    Event,
    ExtensionsReceived,
    GlobalRequestAnswered,
    KexDone,
    RequestAnswered,
    RequestReceived,
    VersionReceived,
    Writable,
)
from nacre.protocol.options import Algorithms
from nacre.protocol.requests import Env, Exec, ExitStatus, PtyRequest, Request, Subsystem

PASSWORD = "secret"
INPUT = b"a line of input\n"

LIMITS = Limits(
    window_initial=2 * MIB, window_maximum=2 * MIB, packet_data=32 * KIB, kex_group_bits=8192
)
"""The windows that both sides announce: a window that grows would ask the clock. And the largest
group of a group exchange."""


class Conversation:
    """An engine, and the program that answers its questions.

    :param how: the scenario, as the transcript has it.
    :ivar events: what happened, in words that no renamed class and no reworded message changes.
    :ivar ended: set when the engine reported the end of the connection.
    """

    engine: Engine

    def __init__(self, how: dict[str, Any]) -> None:
        self.how = how
        self.events: list[str] = []
        self.ended = False
        self._unsent: dict[int, bytearray] = {}
        self._received: dict[tuple[int, int], bytes] = {}
        self._binary: set[int] = set()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the peer; return what this side sends then."""
        if data:
            self.engine.receive(data, 0.0)
        self._settle()
        return bytes(self.engine.take_output())

    def receive_eof(self) -> None:
        """Take the end of the peer's stream."""
        self.engine.receive_eof()
        self._settle()

    def _settle(self) -> None:
        while events := self.engine.take_events():
            for event in events:
                self._note(event)
                self._act(event)

    def _act(self, event: Event) -> None:
        """Answer an event; for subclasses."""
        raise NotImplementedError

    def _send(self, channel: int, data: bytes = b"") -> None:
        """Send data; what does not go now, during a key exchange, goes when ``Writable`` comes."""
        unsent = self._unsent.setdefault(channel, bytearray())
        unsent += data
        size = self.engine.connection.send_data(channel, bytes(unsent))
        del unsent[:size]

    def _drained(self, channel: int) -> bool:
        return not self._unsent.get(channel)

    def _take(self, event: Data) -> bytes:
        """Adjust the peer's window by data, and keep what is text for ``events``."""
        data = bytes(event.data)
        where = event.channel, event.stream
        if event.channel not in self._binary:
            self._received[where] = self._received.get(where, b"") + data
        self.engine.connection.adjust_window(event.channel, len(data))
        return data

    def _note(self, event: Event) -> None:
        match event:
            case VersionReceived(remote=remote):
                self._say("version", remote)
            case KexDone(chosen=chosen, first=first):
                said = f"{chosen.kex} {chosen.host_key} {chosen.cipher_c2s} {chosen.mac_c2s}"
                self._say("keys" if first else "new keys", said)
            case ExtensionsReceived(extensions=extensions):
                self._say("extensions", ",".join(sorted(extensions)))
            case AuthResult(method=method, user=user, outcome=outcome):
                self._say(method, user, outcome)
            case Authenticated(methods=methods):
                self._say("logged in", ",".join(methods))
            case ChannelOpened(channel=channel):
                self._say("opened", channel)
            case ChannelRefused(channel=channel, code=code):
                self._say("refused", channel, code)
            case RequestAnswered(channel=channel, success=success):
                self._say("answered", channel, success)
            case GlobalRequestAnswered(success=success):
                self._say("answered", success)
            case RequestReceived(channel=channel, request=request):
                self._say("request", channel, describe(request))
            case EofReceived(channel=channel):
                self._say("end of input", channel)
            case ChannelClosed(channel=channel):
                self._note_data(channel)
                self._say("closed", channel)
            case Writable(channel=channel):
                self._send(channel)
            case ConnectionEnded(error=error):
                why = type(error).__name__ if error else "as this side wanted"
                self._say("ended", why, error.code if isinstance(error, Disconnected) else "")
                self.ended = True

    def _note_data(self, channel: int) -> None:
        for where in sorted(self._received):
            if where[0] == channel:
                self._say("data", *where, repr(self._received[where]))

    def _say(self, *words: object) -> None:
        self.events.append(" ".join(str(word) for word in words if word != ""))


def describe(request: Request) -> str:
    """Return a request in words."""
    match request:
        case Exec(command=command):
            return f"exec {command.decode()}"
        case Env(name=name, value=value):
            return f"env {name}={value}"
        case Subsystem(name=name):
            return f"subsystem {name}"
        case PtyRequest():
            return f"pty-req {request.term} {request.columns}x{request.rows}"
        case ExitStatus(status=status):
            return f"exit-status {status}"
    return request.NAME


def draw(seed: int) -> Random:
    """Return a source of randomness that always draws the same."""
    return random.Random(seed).randbytes


def offered(how: dict[str, Any]) -> Algorithms:
    """Return the algorithms that this side offers in a scenario."""
    return Algorithms(**{kind: tuple(names) for kind, names in how["algorithms"].items()})


# --- files ---


def to_text(key: PrivateKey) -> str:
    """Return a key as a transcript has it."""
    return b64encode(dump_private(key)).decode()


def from_text(text: str) -> PrivateKey:
    """Return the key of a transcript."""
    return load_private(b64decode(text))


def write(path: Path, recorded: dict[str, Any]) -> None:
    """Write a transcript."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(recorded, indent=1) + "\n")
