"""A connection's events as records, which ``nacre trace`` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nacre.aio.versions import SSH1
from nacre.cli.trace.decode import Decoder
from nacre.protocol.events import (
    AlgorithmsChosen,
    AuthBanner,
    Authenticated,
    AuthResult,
    ChannelOpened,
    ConnectionEnded,
    Event,
    KexDone,
    MessageSeen,
    RequestAnswered,
    VersionReceived,
)
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.cli.trace.decode1 import SSH1Decoder as Decoder1
    from nacre.keys import PublicKey

PHASES = {
    1: "version negotiation",
    2: "key and algorithm negotiation",
    3: "authentication",
    4: "session request",
    5: "interactive session",
}

Record = dict[str, Any]
"""``time`` in seconds since the start, ``phase``, ``event`` (the kind), and fields of that kind."""

_LISTS = (
    ("kex", "kex", "kex"),
    ("host key", "host_key", "host_key"),
    ("cipher client->server", "ciphers_c2s", "cipher_c2s"),
    ("cipher server->client", "ciphers_s2c", "cipher_s2c"),
    ("MAC client->server", "macs_c2s", "mac_c2s"),
    ("MAC server->client", "macs_s2c", "mac_s2c"),
    ("compression client->server", "compression_c2s", "compression_c2s"),
    ("compression server->client", "compression_s2c", "compression_s2c"),
)


class Tracer:
    """Makes records from events: call it with each event, as a trace of the connection.

    :param start: the loop's time at the start.
    :param show: gets each record.
    """

    def __init__(self, start: float, show: Callable[[Record], None]) -> None:
        self._start = start
        self._show = show
        self._now = start
        self._decoder: Decoder | Decoder1 = Decoder()
        self._phase = 0
        self._enter(1)

    def __call__(self, event: Event, time: float) -> None:
        """Make the records of an event."""
        self._now = time
        match event:
            case VersionReceived():
                self._version(event)
            case MessageSeen():
                self._message(event)
            case AlgorithmsChosen():
                self._algorithms(event)
            case KexDone():
                self._keys(event)
            case AuthBanner():
                self._record("banner", text=event.text)
            case AuthResult():
                self._record(
                    "authentication",
                    user=safe(event.user),
                    method=event.method,
                    detail=event.detail,
                    outcome=event.outcome,
                    can_continue=[safe(name) for name in event.can_continue],
                )
            case Authenticated():
                self._enter(4)
            case ChannelOpened():
                self._record("channel", channel=event.channel)
            case RequestAnswered():
                self._record("request", channel=event.channel, success=event.success)
            case ConnectionEnded():
                self._record("ended", error=str(event.error) if event.error else None)

    def started(self) -> None:
        """Begin phase 5: call when the session's process has started."""
        self._enter(5)

    def result(self, exit_status: int | None, error: str | None) -> None:
        """Make the last record: call at the end, with an exit status or an error."""
        self._record("result", exit_status=exit_status, error=error)

    def _record(self, kind: str, **details: Any) -> None:
        time = round(self._now - self._start, 6)
        self._show({"time": time, "phase": self._phase, "event": kind, **details})

    def _enter(self, phase: int) -> None:
        if phase > self._phase:
            self._phase = phase
            self._record("phase", name=PHASES[phase])

    def _version(self, event: VersionReceived) -> None:
        if event.protocol == SSH1:
            from nacre.cli.trace.decode1 import SSH1Decoder as Decoder1

            self._decoder = Decoder1()
        self._record(
            "version",
            client=event.local,
            server=event.remote,
            protocol=event.protocol,
            before=list(event.before),
        )
        self._enter(2)

    def _message(self, event: MessageSeen) -> None:
        decoded = self._decoder.decode(event.payload)
        if decoded.number in self._decoder.AUTHENTICATION:
            self._enter(3)
        self._record(
            "message",
            direction=event.direction,
            number=decoded.number,
            name=decoded.name,
            fields=decoded.fields,
        )

    def _algorithms(self, event: AlgorithmsChosen) -> None:
        self._decoder.kex = event.chosen.kex
        for label, proposed, chosen in _LISTS:
            name = getattr(event.chosen, chosen)
            client, server = getattr(event.client, proposed), getattr(event.server, proposed)
            self._record(
                "negotiated",
                what=label,
                client=_shown(client),
                server=_shown(server),
                chosen=name,
                why=_why(name, client, server),
            )
        self._record("strict kex", on=event.chosen.strict)

    def _keys(self, event: KexDone) -> None:
        key = event.host_key
        self._record(
            "keys",
            **({} if key is None else _about(key)),
            session_id=event.session_id.hex(),
            first=event.first,
        )


def _about(key: PublicKey) -> dict[str, object]:
    return {"host_key": key.type, "bits": key.bits, "fingerprint": key.fingerprint()}


def _shown(names: Sequence[str]) -> list[str]:
    return [safe(name) for name in names]


def _why(chosen: str, client: Sequence[str], server: Sequence[str]) -> str:
    """Explain why the rule of RFC 4253 section 7.1 gives ``chosen``."""
    if chosen not in client:
        return "the cipher authenticates its packets itself"
    passed = [safe(name) for name in client[: client.index(chosen)] if name not in server]
    rule = "first of the client's list that the server has too"
    return f"{rule}; the server lacks {', '.join(passed)}" if passed else rule
