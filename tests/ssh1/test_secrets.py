"""How a client of SSH-1 sends passwords and answers: the first padded, the others not."""

from __future__ import annotations

import pytest

from nacre.protocol.asks import Answer, Ask, AskAuthentication, TryKeyboardInteractive, TryPassword
from nacre.protocol.events import MessageSeen
from nacre.ssh1 import messages as msg
from nacre.ssh1.messages import SSH1Msg
from ssh1.pair1 import giving, logged_in


def sent(way: Answer, number: SSH1Msg, software: str = "nacre") -> bytes:
    """Return the first message of a number that a client sends which tries one way."""

    def answers(ask: Ask) -> Answer | None:
        return way if isinstance(ask, AskAuthentication) else giving(ask)

    made = logged_in(client=answers, software=software, trace=True)
    return next(
        event.payload
        for event in made.client_events
        if isinstance(event, MessageSeen) and event.payload[0] == number
    )


def password(length: int, software: str = "nacre") -> bytes:
    payload = sent(TryPassword("p" * length), SSH1Msg.CMSG_AUTH_PASSWORD, software)
    return msg.AuthPassword.decode(payload).password


@pytest.mark.parametrize(("length", "padded"), [(1, 32), (31, 32), (32, 32), (33, 64)])
def test_passwords_are_padded(length: int, padded: int) -> None:
    assert password(length) == b"p" * length + bytes(padded - length)


@pytest.mark.parametrize("software", ["Cisco-1.25", "OSU_1.4alpha3"])
def test_servers_that_padding_spoils_get_none(software: str) -> None:
    assert password(5, software) == b"ppppp"


def test_answers_to_challenges_are_not_padded() -> None:
    payload = sent(TryKeyboardInteractive(), SSH1Msg.CMSG_AUTH_TIS_RESPONSE)
    assert msg.AuthTISResponse.decode(payload).response == b"forty-two"
