"""The shared part of both engines: questions, events, and the end with its words for the peer."""

from __future__ import annotations

import pytest

from nacre.errors import (
    ConfigurationError,
    ConnectionLost,
    DisconnectCode,
    HostKeyChanged,
    LocalProtocolError,
    NacreError,
    RemoteProtocolError,
)
from nacre.protocol.asks import Answer, AskUser, Granted, UserRequirement
from nacre.protocol.events import ConnectionEnded, DebugReceived
from nacre.protocol.machine import Machine
from nacre.protocol.options import ClientOptions
from nacre.protocol.phases import Phase, Role

REQUIREMENT = UserRequirement((frozenset(),))


class Plain(Machine):
    """A machine that records what it would send."""

    role = Role.CLIENT

    def __init__(self) -> None:
        super().__init__(ClientOptions(user="alice"), "2.0")
        self.lines: list[bytes] = []
        self.disconnects: list[tuple[DisconnectCode, str]] = []
        self.went_on = 0
        self.cleared = 0

    def _go_on(self) -> None:
        self.went_on += 1

    def _send_line(self, line: bytes) -> None:
        self.lines.append(line)

    def _send_disconnect(self, code: DisconnectCode, description: str) -> None:
        self.disconnects.append((code, description))

    def _clear(self) -> None:
        self.cleared += 1

    def ask(self, error: NacreError | None = None) -> int:
        def then(answer: Answer) -> None:
            if error is not None:
                raise error

        return self._asks.ask(AskUser(user="alice"), then)

    def fail(self, error: NacreError) -> None:
        self._end(error)


@pytest.fixture
def machine() -> Plain:
    made = Plain()
    made.phase = Phase.CONNECTION
    return made


def test_an_answer_lets_the_packets_go_on(machine: Plain) -> None:
    number = machine.ask()
    assert machine.answer(number, REQUIREMENT)
    assert machine.went_on == 1
    assert not machine.answer(number, REQUIREMENT)
    assert machine.went_on == 1


def test_an_answer_of_another_kind_ends_nothing(machine: Plain) -> None:
    number = machine.ask()
    with pytest.raises(LocalProtocolError):
        machine.answer(number, Granted())
    assert machine.phase is Phase.CONNECTION
    assert machine.went_on == 0


def test_an_error_in_what_follows_an_answer_ends_the_connection(machine: Plain) -> None:
    error = HostKeyChanged("the key of /home/alice/.ssh/known_hosts differs")
    assert machine.answer(machine.ask(error), REQUIREMENT)
    assert machine.phase is Phase.CLOSED
    assert machine.take_events()[-1] == ConnectionEnded(error)
    assert machine.went_on == 0


def test_the_list_of_events_stays_the_same_object(machine: Plain) -> None:
    events = machine.events
    events.append(DebugReceived(False, "one"))
    assert machine.take_events() == [DebugReceived(False, "one")]
    events.append(DebugReceived(False, "two"))
    assert machine.take_events() == [DebugReceived(False, "two")]
    assert machine.take_events() == []


def test_a_protocol_error_is_shown_to_the_peer(machine: Plain) -> None:
    machine.fail(RemoteProtocolError("a second EOF", DisconnectCode.PROTOCOL_ERROR))
    assert machine.disconnects == [(DisconnectCode.PROTOCOL_ERROR, "a second EOF")]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            HostKeyChanged("see /home/alice/.ssh/known_hosts"),
            DisconnectCode.HOST_KEY_NOT_VERIFIABLE,
            "host key not verifiable",
        ),
        (ConfigurationError("no key /etc/key"), DisconnectCode.BY_APPLICATION, "by application"),
    ],
)
def test_other_errors_tell_the_peer_nothing_but_the_code(
    machine: Plain, error: NacreError, code: DisconnectCode, text: str
) -> None:
    machine.fail(error)
    assert machine.disconnects == [(code, text)]


def test_a_lost_transport_is_sent_nothing(machine: Plain) -> None:
    machine.fail(ConnectionLost("reset"))
    assert machine.disconnects == machine.lines == []
    assert machine.phase is Phase.CLOSED


def test_before_the_versions_are_known_the_reason_is_a_line(machine: Plain) -> None:
    machine.phase = Phase.VERSION
    machine.fail(RemoteProtocolError("no SSH \x1b[2J"))
    assert machine.lines == [b"no SSH \\x1b[2J"]
    assert machine.disconnects == []


def test_a_reason_is_cut_and_made_safe(machine: Plain) -> None:
    machine.disconnect(DisconnectCode.BY_APPLICATION, "\x07" + "x" * 1000)
    ((_, text),) = machine.disconnects
    assert text.startswith("\\x07x")
    assert len(text) < 300


def test_the_end_comes_once_and_withdraws_what_is_open(machine: Plain) -> None:
    number = machine.ask()
    machine.take_events()
    machine.disconnect(DisconnectCode.BY_APPLICATION, "done")
    machine.disconnect(DisconnectCode.BY_APPLICATION, "done again")
    machine.fail(RemoteProtocolError("late"))
    assert machine.take_events() == [ConnectionEnded(None)]
    assert machine.disconnects == [(DisconnectCode.BY_APPLICATION, "done")]
    assert machine.cleared == 1
    assert not machine.answer(number, REQUIREMENT)
