"""The ledger of questions: each is answered once, by an answer of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.errors import LocalProtocolError
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskOpen,
    AskPassword,
    Asks,
    AskUser,
    Challenge,
    Denied,
    Granted,
    NewPassword,
    PasswordExpired,
    Responses,
    TryPassword,
    UserRequirement,
)
from nacre.protocol.events import Event


class Ledger:
    """A ledger with its events, and what its callbacks received."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.asks = Asks(self.events)
        self.received: list[Any] = []

    def ask(self, ask: Ask) -> int:
        return self.asks.ask(ask, self.received.append)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_a_question_is_an_event_with_a_number_of_its_own(ledger: Ledger) -> None:
    first, second = AskUser(user="a"), AskUser(user="b")
    assert [ledger.ask(first), ledger.ask(second)] == [1, 2]
    assert ledger.events == [first, second]
    assert (first.ask_id, second.ask_id) == (1, 2)


def test_an_answer_goes_to_its_callback_once(ledger: Ledger) -> None:
    number = ledger.ask(AskPassword(user="a", password="secret"))
    assert ledger.asks.answer(number, Granted())
    assert not ledger.asks.answer(number, Denied("too late"))
    assert ledger.received == [Granted()]


def test_answers_may_come_in_any_order(ledger: Ledger) -> None:
    first = ledger.ask(AskPassword(user="a", password="1"))
    second = ledger.ask(AskPassword(user="a", password="2"))
    ledger.asks.answer(second, Denied())
    ledger.asks.answer(first, PasswordExpired("new: "))
    assert ledger.received == [Denied(), PasswordExpired("new: ")]


@pytest.mark.parametrize("number", [0, -1, 2])
def test_a_number_that_no_question_had(ledger: Ledger, number: int) -> None:
    ledger.ask(AskUser(user="a"))
    with pytest.raises(LocalProtocolError, match=f"the number {number}"):
        ledger.asks.answer(number, Granted())


@pytest.mark.parametrize("answer", [Granted(), TryPassword("x"), Challenge("", "", ())])
def test_an_answer_of_another_kind_leaves_the_question_open(ledger: Ledger, answer: Answer) -> None:
    number = ledger.ask(AskUser(user="a"))
    with pytest.raises(LocalProtocolError, match="AskUser takes UserRequirement, not"):
        ledger.asks.answer(number, answer)
    assert ledger.asks.blocking == 1
    assert ledger.asks.answer(number, UserRequirement((frozenset(),)))


def test_only_blocking_questions_are_counted(ledger: Ledger) -> None:
    blocking = ledger.ask(AskUser(user="a"))
    open_channel = ledger.ask(AskOpen(channel=0, channel_type="session", data=b""))
    assert ledger.asks.blocking == 1
    ledger.asks.answer(open_channel, Granted())
    assert ledger.asks.blocking == 1
    ledger.asks.withdraw(blocking)
    assert ledger.asks.blocking == 0


def test_a_withdrawn_question_takes_no_answer(ledger: Ledger) -> None:
    number = ledger.ask(AskPassword(user="a", password="secret"))
    ledger.asks.withdraw(number)
    ledger.asks.withdraw(number)
    assert not ledger.asks.answer(number, Granted())
    assert ledger.received == []
    assert ledger.asks.blocking == 0


def test_the_end_withdraws_all(ledger: Ledger) -> None:
    numbers = [ledger.ask(AskUser(user="a")), ledger.ask(AskPassword(user="a", password=""))]
    ledger.asks.withdraw_all()
    assert ledger.asks.blocking == 0
    assert not any(ledger.asks.answer(number, Granted()) for number in numbers)


def test_a_question_asked_in_a_callback_is_open_afterwards(ledger: Ledger) -> None:
    def again(answer: Any) -> None:
        ledger.ask(AskUser(user="again"))

    number = ledger.asks.ask(AskUser(user="a"), again)
    ledger.asks.answer(number, UserRequirement((frozenset(),)))
    assert ledger.asks.blocking == 1
    assert ledger.asks.answer(2, UserRequirement((frozenset(),)))


@pytest.mark.parametrize(
    "secret",
    [
        TryPassword("hunter2"),
        Responses(("hunter2",)),
        NewPassword("hunter2", "hunter3"),
        AskPassword(user="a", password="hunter2"),
    ],
)
def test_secrets_are_not_shown(secret: object) -> None:
    assert "hunter" not in repr(secret)
