"""SSH-1 peers that send mutations: every connection ends in order, or goes on."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from fuzz.mutate import mutated, seeds
from nacre.errors import LocalProtocolError, NacreError
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskPrompts,
    GiveUp,
    TryKeyboardInteractive,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import ConnectionEnded
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Exec, ExitStatus, OtherRequest, PtyRequest, WindowChange
from nacre.testing import PASSWORD, Pair
from nacre.wire.codec import string, u32
from ssh1.pair1 import Taking, giving, pair, user_key

_BOUND = 8 << 20
"""Bytes that one side may have put out in answer to a mutated conversation."""


def _mutating(engine: Any, draw: random.Random, after: int) -> None:
    """Make an engine mutate what it sends, from its message number ``after`` on, now and then."""
    send, sent = engine._outbox.send_payload, [0]

    def send_mutated(payload: bytes) -> None:
        sent[0] += 1
        if sent[0] > after and draw.random() < 0.5:
            payload = mutated(payload, draw) or b"\0"
        for _ in range(draw.choice((1, 1, 1, 1, 0, 2)) if sent[0] > after else 1):
            send(payload)

    engine._outbox.send_payload = send_mutated


def _choices(draw: random.Random) -> Any:
    answers = [
        TryPublicKey(user_key().public, ("rsa1",)),
        TryPassword("wrong"),
        TryKeyboardInteractive(),
        TryPassword(PASSWORD),
    ]
    draw.shuffle(answers)

    def answer(ask: Ask) -> Answer | None:
        if isinstance(ask, AskAuthentication):
            return answers.pop() if answers else GiveUp(NacreError("enough"))
        if isinstance(ask, AskPrompts) and draw.random() < 0.2:
            return GiveUp(NacreError("no answer"))
        return giving(ask)

    return answer


def _talk(made: Pair, draw: random.Random) -> None:
    """Use everything that SSH-1 has, whatever comes back."""
    made.run()
    client, server = made.client, made.server
    address = string(b"localhost") + u32(8080)
    origin = string(b"10.0.0.1") + u32(5)

    def deed(which: int) -> None:
        match which:
            case 0:
                client.connection.open_channel("session")
                client.connection.send_request(0, PtyRequest("vt100", 80, 24, 0, 0, b"\0"))
                client.connection.send_request(0, OtherRequest("auth-agent-req@openssh.com", b""))
            case 1:
                client.connection.send_global_request("tcpip-forward", address)
            case 2:
                client.connection.send_request(0, Exec(b"cat"))
                client.connection.send_data(0, draw.randbytes(draw.randrange(5000)))
                client.connection.send_request(0, WindowChange(1, 2, 3, 4))
            case 3:
                client.connection.open_channel("direct-tcpip", address + origin)
            case 4:
                server.connection.open_channel("forwarded-tcpip", address + origin)
                server.connection.open_channel("auth-agent@openssh.com")
            case 5:
                server.connection.send_data(0, draw.randbytes(draw.randrange(5000)), 1)
                client.connection.send_eof(0)
            case 6:
                server.connection.send_request(0, ExitStatus(1))
                server.connection.close_channel(draw.randrange(3))
                client.connection.close_channel(1 + draw.randrange(2))

    for which in range(7):
        # What was mutated before may have made it illegal.
        with contextlib.suppress(LocalProtocolError):
            deed(which)
        made.run()


def _check(made: Pair) -> None:
    for engine, events in (
        (made.client, made.client_events),
        (made.server, made.server_events),
    ):
        ends = [event for event in events if isinstance(event, ConnectionEnded)]
        assert len(ends) == (engine.phase is Phase.CLOSED)
        assert engine.output_size < _BOUND
        if ends:
            assert events[-1] is ends[0]
            assert ends[0].error is None or isinstance(ends[0].error, NacreError)
        inside: Any = engine
        assert len(inside._inbox._held) <= 3 << 20


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", ["client", "server"])
def test_mutated_messages(role: str) -> None:
    """The mutations are inside the encryption: every layer sees them."""
    for seed in seeds():
        draw = random.Random(seed)
        made = pair(
            client=_choices(draw),
            server=Taking(),
            compress=draw.random() < 0.3,
            cipher=draw.choice(["3des", "blowfish", "des"]),
            seed=seed,
            trace=draw.random() < 0.5,
        )
        _mutating(getattr(made, role), draw, draw.choice((0, 0, 1, 2, 3, 4, 6, 9)))
        _talk(made, draw)
        _check(made)


@pytest.mark.timeout(600)
def test_mutated_bytes() -> None:
    """The mutations are on the wire: framing sees them, and the first messages, which are plain."""
    for seed in seeds():
        draw = random.Random(seed)

        def split(data: bytes, draw: random.Random = draw) -> list[bytes]:
            return [mutated(data, draw) if draw.random() < 0.3 else data]

        made = pair(seed=seed, split=split)
        _talk(made, draw)
        _check(made)
