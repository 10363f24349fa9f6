"""Messages between the processes of a server: what is sent is what arrives, and rubbish is not."""

from __future__ import annotations

import random
from contextlib import suppress
from types import ModuleType

import pytest

from interop.config_cases.server_values import VALUES
from nacre.config.server.files import parse
from nacre.daemon.audit.frames import AuditedEvent, AuditState, Recorded
from nacre.daemon.separate import kept, link, monitor, records, users, visit
from nacre.daemon.separate.messages import (
    FROM_GATES,
    FROM_METRICS,
    FROM_RECORDERS,
    FROM_SESSIONS,
    TO_GATES,
    TO_METRICS,
    TO_RECORDERS,
    TO_SESSIONS,
    AllDescribed,
    Answered,
    AnswerPrompts,
    Arrived,
    AtTerminal,
    Banned,
    BeginRecording,
    Certify,
    ConnectionOver,
    Describe,
    Described,
    DescriptorGiven,
    Drop,
    DropVisit,
    HandOver,
    Left,
    LogRecord,
    LookUp,
    NameUser,
    Numbers,
    OfferPassword,
    OpenLedger,
    OpenTrail,
    OriginRead,
    ProveHost,
    ProveKey,
    QueryKey,
    ReadOrigin,
    Reads,
    Ready,
    RecordSession,
    Rests,
    Retire,
    Serve,
    ShowSession,
    Sign,
    SignExchange,
    StartWith,
    Stopped,
    TurnedAway,
    packed,
    unpacked,
)
from nacre.errors import ConfigurationError, MalformedMessage
from nacre.protocol.asks import Denied, Granted, Signature, UserRequirement
from nacre.server.peer import ConnectionTerms
from nacre.wire.message import Message

ALL = (
    Arrived(7),
    SignExchange(7, 8, b"key", "ssh-ed25519", b"hash"),
    NameUser(7, 8, "älice"),
    OfferPassword(7, 8, "old", True, "new"),
    QueryKey(7, 8, "ssh-ed25519", b"key"),
    ProveKey(7, 8, True, b"fields"),
    ProveHost(7, 8, b"fields"),
    AnswerPrompts(7, 8, False, "pam", b"\0\0\0\1x"),
    HandOver(7, b"state"),
    Left(7),
    Ready(),
    Stopped(),
    Reads(),
    LogRecord(b"{}"),
    Sign(8, b"session", b"key", "ssh-ed25519", b"data"),
    LookUp(8, b"session"),
    Drop(b"session", "PAM has ended"),
    AtTerminal(b"session", "/dev/pts/1", True),
    RecordSession(8, b"session"),
    OpenTrail(8, b"session"),
    ShowSession(b"session", b"order"),
    BeginRecording(b"about"),
    Rests(b"session", b"state"),
    Certify(8, b"session", b"key"),
    OpenLedger(8, b"session", ""),
    DescriptorGiven(8),
    ConnectionOver(b"session"),
    Describe(8),
    Described(8, b"session", 1500, True, 7, 8, 1, 2, 3, b"running"),
    AllDescribed(8),
    DropVisit(7, "the administrator has ended it"),
    StartWith(b"settings"),
    Answered(7, 8, True, b"answer"),
    TurnedAway(7),
    ReadOrigin(7),
    OriginRead(7, b"origin"),
    Banned(True, b"bans"),
    Numbers(b"numbers"),
    Retire(5),
    Serve(b"about"),
    AuditedEvent(b"session", "file", "success", True, b"{}"),
    Recorded(3, ""),
    AuditState("why"),
)
TABLES = (
    *(FROM_GATES, FROM_SESSIONS, FROM_RECORDERS, FROM_METRICS),
    *(TO_GATES, TO_SESSIONS, TO_RECORDERS, TO_METRICS),
)


@pytest.mark.parametrize("message", ALL, ids=lambda one: type(one).__name__)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    data = message.encode()
    kinds = {table[data[0]] for table in TABLES if data[0] in table}
    assert kinds == {type(message)}
    arrived = type(message).decode(data)
    assert type(arrived) is type(message)
    assert arrived.encode() == data
    assert arrived == message


def test_every_message_is_tried_here() -> None:
    known = {kind for table in TABLES for kind in table.values()}
    assert known == {type(message) for message in ALL}


def test_no_process_may_say_what_another_one_says() -> None:
    for ours, theirs in ((FROM_GATES, TO_GATES), (FROM_SESSIONS, TO_SESSIONS)):
        assert not ours.keys() & theirs.keys()
    gates_and_sessions = FROM_GATES.keys() & FROM_SESSIONS.keys()
    assert {FROM_GATES[number] for number in gates_and_sessions} == {Reads, Ready, LogRecord}


@pytest.mark.parametrize("message", ALL, ids=lambda one: type(one).__name__)
def test_what_is_cut_off_is_refused_or_shorter(message: Message) -> None:
    """Only the bytes of a last field, which has no length, can be fewer without an error."""
    data = message.encode()
    for size in range(1, len(data)):
        try:
            shorter = type(message).decode(data[:size])
        except MalformedMessage:
            continue
        assert shorter.encode() == data[:size]


@pytest.mark.parametrize("table", TABLES)
def test_rubbish_is_refused_or_is_a_message(table: dict[int, type[Message]]) -> None:
    chance = random.Random(len(table))
    for number, kind in table.items():
        for _ in range(200):
            data = bytes([number]) + chance.randbytes(chance.randrange(40))
            try:
                message = kind.decode(data)
            except MalformedMessage:
                continue
            assert kind.decode(message.encode()) == message


@pytest.mark.parametrize(
    "value",
    [
        *(Denied("why"), Granted(), Signature(b"blob"), None, b"signature"),
        UserRequirement((frozenset({"publickey"}), ("password", "publickey")), "banner"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_answers_of_the_monitor(value: object) -> None:
    assert unpacked(packed(value)) == value


@pytest.mark.parametrize("keyword", VALUES)
def test_every_value_of_a_configuration_reaches_other_processes(keyword: str) -> None:
    sent = []
    for text in VALUES[keyword]:
        with suppress(ConfigurationError):
            config = parse([f"{keyword} {text}"])
            sent.append((config, ConnectionTerms.of(config), config.algorithms(), config.limits()))
    arrived = unpacked(packed(sent))
    assert arrived == sent
    assert sorted(repr(arrived)) == sorted(repr(sent))  # sets may have another order


@pytest.mark.parametrize("module", [monitor, users, visit, records, link, kept])
def test_the_monitor_reads_no_pickle(module: ModuleType) -> None:
    """Who writes one runs code in the process that reads it."""
    assert not {"pickle", "unpacked", "marshal"} & vars(module).keys()
