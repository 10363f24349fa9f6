"""What is known of the connections that are carried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nacre.client.forwarding.carried import Carried
from nacre.errors import ConnectFailed
from nacre.protocol.asks import AskOpen, OpenRefused
from nacre.protocol.tcpip import Endpoint
from nacre.wire.numbers import OpenFailure


def stand_in(*, ended: bool = False) -> Any:
    answers: list[object] = []
    return SimpleNamespace(
        channels=(), ended=ended, answers=answers, answer=lambda _, answer: answers.append(answer)
    )


def asked() -> AskOpen:
    ask = AskOpen(channel=3, channel_type="x", data=b"")
    ask.ask_id = 1
    return ask


def test_what_is_no_longer_relayed_is_forgotten() -> None:
    carried = Carried(stand_in())
    carried.note(3, "text")
    assert carried.open_now() == ()


async def test_a_place_that_can_not_be_reached_refuses_the_channel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = stand_in()

    async def reach() -> Any:
        raise ConnectFailed("no route")

    await Carried(connection).join(asked(), Endpoint("h", 1), reach)
    assert connection.answers == [OpenRefused(OpenFailure.CONNECT_FAILED, "no route")]
    assert "forwarding to h port 1 failed: no route" in caplog.text
    Carried(connection).refuse(asked())
    assert connection.answers[1:] == [OpenRefused()]


def test_nothing_is_logged_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    Carried(stand_in(ended=True)).warn("somewhere", ConnectFailed("late"))
    assert caplog.text == ""
