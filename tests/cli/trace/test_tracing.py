"""Events of a connection as records, and the records as text."""

from __future__ import annotations

from typing import Any

import pytest

from nacre.cli.trace.command import _LINES, Painter
from nacre.cli.trace.tracing import PHASES, Record, Tracer, _why
from nacre.errors import ConnectionLost
from nacre.keys import generate
from nacre.protocol.events import (
    AlgorithmsChosen,
    AuthBanner,
    Authenticated,
    AuthResult,
    ChannelOpened,
    Chosen,
    ConnectionEnded,
    Event,
    KexDone,
    MessageSeen,
    Proposal,
    RequestAnswered,
    VersionReceived,
)
from nacre.ssh2.transport.messages import ServiceRequest

KEY = generate("ssh-ed25519").public
CHOSEN = Chosen(
    kex="k2",
    host_key="h",
    cipher_c2s="c",
    cipher_s2c="c",
    mac_c2s="<implicit>",
    mac_s2c="m",
    compression_c2s="none",
    compression_s2c="none",
    strict=True,
)


def proposal(*kex: str) -> Proposal:
    return Proposal(kex, ("h",), ("c",), ("c",), ("m",), ("m",), ("none",), ("none",))


EVENTS: tuple[Event, ...] = (
    VersionReceived("2.0", "SSH-2.0-nacre", "SSH-2.0-other", ("hello",)),
    AlgorithmsChosen(proposal("k1", "k2"), proposal("k2"), CHOSEN, first=True),
    KexDone(b"\1\2", KEY, CHOSEN, first=True),
    MessageSeen("out", ServiceRequest("ssh-userauth").encode()),
    AuthBanner("be welcome\n"),
    AuthResult("a\x1b", "publickey", "", "failure", ("password",), 1),
    AuthResult("alice", "password", "", "success", (), 1),
    Authenticated("alice", ("password",)),
    ChannelOpened(0),
    RequestAnswered(0, 1, False),
    ConnectionEnded(ConnectionLost("gone")),
)


@pytest.fixture
def records() -> list[Record]:
    """The records of a whole connection, of which each event comes a second after the last."""
    found: list[Record] = []
    tracer = Tracer(100.0, found.append)
    for at, event in enumerate(EVENTS, 101):
        tracer(event, float(at))
    tracer.started()
    tracer.result(3, None)
    return found


def of(records: list[Record], kind: str) -> list[dict[str, Any]]:
    return [record for record in records if record["event"] == kind]


def test_phases_come_in_order(records: list[Record]) -> None:
    assert [(r["phase"], r["name"]) for r in of(records, "phase")] == [*PHASES.items()]
    assert [r["phase"] for r in records] == sorted(r["phase"] for r in records)
    (message,) = of(records, "message")
    assert message["phase"] == 3


def test_times_count_from_the_start(records: list[Record]) -> None:
    assert of(records, "version")[0]["time"] == 1.0
    assert of(records, "ended")[0]["time"] == float(len(EVENTS))


def test_a_choice_is_explained(records: list[Record]) -> None:
    kex, *_ = negotiated = of(records, "negotiated")
    assert (kex["client"], kex["server"], kex["chosen"]) == (["k1", "k2"], ["k2"], "k2")
    assert kex["why"] == ("first of the client's list that the server has too; the server lacks k1")
    macs = {r["what"]: r["why"] for r in negotiated}
    assert macs["MAC client->server"] == "the cipher authenticates its packets itself"
    assert macs["MAC server->client"] == "first of the client's list that the server has too"
    assert of(records, "strict kex")[0]["on"] is True


def test_names_of_the_peer_are_safe_to_print() -> None:
    assert "\x1b" not in _why("b", ["a\x1b", "b"], ["b"])


def test_what_a_user_sends_is_safe_to_print(records: list[Record]) -> None:
    assert "\x1b" not in of(records, "authentication")[0]["user"]


def test_keys_without_a_host_key_have_a_line_too() -> None:
    found: list[Record] = []
    Tracer(0.0, found.append)(KexDone(b"\1", None, CHOSEN, first=True), 1.0)
    (record,) = of(found, "keys")
    assert "host_key" not in record
    assert "host key: none" in "\n".join(Painter(False).keys(record))


def test_every_kind_of_record_has_lines(records: list[Record]) -> None:
    assert {record["event"] for record in records} == set(_LINES)
    painter = Painter(coloured=False)
    lines = [line for record in records for line in painter.lines(record)]
    assert "Phase 4: session request" in lines
    assert f"{' ' * 15}kex: k2 (first of the client's list that the server has too; " in (
        next(line for line in lines if "kex: k2" in line)
    )
    assert f"{' ' * 15}a\\x1b: publickey: failure; can continue: password" in lines
    assert f"{' ' * 15}channel 0: the request was refused" in lines
    assert lines[-1] == "exit status: 3"


def test_colours_are_for_terminals(records: list[Record]) -> None:
    plain, coloured = Painter(coloured=False), Painter(coloured=True)
    assert not any("\x1b" in line for record in records for line in plain.lines(record))
    assert any("\x1b[" in line for record in records for line in coloured.lines(record))


def test_a_failed_run_has_no_exit_status() -> None:
    found: list[Record] = []
    Tracer(0.0, found.append).result(None, "Permission denied")
    assert found[-1]["error"] == "Permission denied"
    assert Painter(coloured=False).lines(found[-1]) == []


def test_ssh1_gets_its_own_decoder() -> None:
    found: list[Record] = []
    tracer = Tracer(0.0, found.append)
    tracer(VersionReceived("1.5", "SSH-1.5-nacre", "SSH-1.5-other", ()), 1.0)
    tracer(MessageSeen("in", b"\x0e"), 2.0)
    assert found[-1]["name"] == "SSH_SMSG_SUCCESS"
