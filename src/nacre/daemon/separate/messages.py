"""What the processes of a server say to each other.

A gate names one of its connections by a number, and each question by another one. What a gate
sends is decoded field by field, as what a client sends is: somebody may have taken it over. What
the monitor sends is a pickle in one field: who reads it can do less than who has written it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from nacre.daemon.audit.frames import AuditedEvent, AuditState, Recorded
from nacre.wire.message import (
    U32,
    U64,
    Bool,
    Message,
    Rest,
    SecretRest,
    SecretText,
    String,
    Text,
    message,
)

# --- from a gate to the monitor ---


@message(1)
class Arrived(Message):
    """A client has begun a key exchange; its socket comes along."""

    visit: U32


@message(2)
class SignExchange(Message):
    """Sign an exchange hash with a host key: its ``key`` is the blob."""

    visit: U32
    ask: U32
    key: String
    algorithm: Text
    data: String


@message(3)
class NameUser(Message):
    """The client wants to be this user."""

    visit: U32
    ask: U32
    user: Text


@message(4)
class OfferPassword(Message):
    """The client's password; with ``changes`` it wants the ``new`` one in its place."""

    visit: U32
    ask: U32
    password: SecretText
    changes: Bool
    new: SecretText


@message(5)
class QueryKey(Message):
    """Would this key do?"""

    visit: U32
    ask: U32
    algorithm: Text
    key: String


@message(6)
class ProveKey(Message):
    """The fields of a signed ``publickey`` request; the monitor verifies the signature itself.

    :ivar host_bound: whether the request names the server's host key.
    """

    visit: U32
    ask: U32
    host_bound: Bool
    fields: Rest


@message(7)
class ProveHost(Message):
    """The fields of a ``hostbased`` request."""

    visit: U32
    ask: U32
    fields: Rest


@message(8)
class AnswerPrompts(Message):
    """StartWith ``keyboard-interactive``, or answer its prompts.

    :ivar responses: the responses, each as a string.
    """

    visit: U32
    ask: U32
    begins: Bool
    submethods: Text
    responses: SecretRest


@message(9)
class HandOver(Message):
    """The client has passed all methods; ``state`` is the frozen end of its connection."""

    visit: U32
    state: SecretRest


@message(10)
class Left(Message):
    """The client's connection has ended."""

    visit: U32


@message(11)
class Ready(Message):
    """The gate accepts connections; a session process can serve some."""


@message(14)
class Stopped(Message):
    """The gate accepts no more connections."""


@message(15)
class ReadOrigin(Message):
    """A trusted proxy has connected, whose socket comes along: whom does it speak for?"""

    visit: U32


# --- from both ---


@message(13)
class Reads(Message):
    """The process reads its link from now on, and waits for what it is started with."""


@message(12)
class LogRecord(Message):
    """A record for the log: an object of JSON whose values are texts, numbers and null."""

    fields: Rest


# --- from a session process to the monitor ---


@message(20)
class Sign(Message):
    """Sign with a host key, for the connection with this session identifier."""

    ask: U32
    session: String
    key: String
    algorithm: Text
    data: String


@message(21)
class LookUp(Message):
    """What do the user's sessions run as now?"""

    ask: U32
    session: String


@message(22)
class ConnectionOver(Message):
    """The connection has ended."""

    session: String


@message(24)
class Rests(Message):
    """Nothing happens on the connection, whose socket comes along; ``state`` is its frozen end."""

    session: String
    state: SecretRest


@message(25)
class Described(Message):
    """What happens on one of the connections.

    :ivar idle: milliseconds since its client sent something.
    :ivar counts: whether the system counts the bytes, which are then ``received`` and ``sent``.
    :ivar sessions: how many sessions it has, ``forwards`` other channels, and ``listens`` places
        that are listened on.
    :ivar running: the first of the sessions: of each its channel, what was requested, the command
        or subsystem, and whether it has a terminal.
    """

    ask: U32
    session: String
    idle: U64
    counts: Bool
    received: U64
    sent: U64
    sessions: U32
    forwards: U32
    listens: U32
    running: Rest


@message(26)
class AllDescribed(Message):
    """All connections were described."""

    ask: U32


@message(27)
class RecordSession(Message):
    """Give a socket to the recorder, for a session of the connection."""

    ask: U32
    session: String


@message(23)
class AtTerminal(Message):
    """The user begins to work at a terminal, or has done so, which the system takes note of.

    :ivar terminal: its path.
    """

    session: String
    terminal: Text
    begins: Bool


@message(28)
class Certify(Message):
    """Certify a key for the user of the connection with this session identifier.

    :ivar key: the key's blob; empty for the key that the user has logged in with.
    """

    ask: U32
    session: String
    key: String


@message(63)
class OpenLedger(Message):
    """Open the ledger of the user of the connection with this session identifier.

    :ivar group: a group of the user whose ledger it is to be; empty for the user's own.
    """

    ask: U32
    session: String
    group: Text


@message(65)
class OpenTrail(Message):
    """Open a socket on which a process of files has its operations kept, for the connection."""

    ask: U32
    session: String


# --- from the monitor ---


@message(39)
class StartWith(Message):
    """What a gate or a session process is started with; its descriptors come along."""

    settings: SecretRest


@message(40)
class Answered(Message):
    """The answer to a question.

    :ivar at_once: whether nothing was looked up in a thread for it.
    """

    visit: U32
    ask: U32
    at_once: Bool
    answer: SecretRest


@message(41)
class TurnedAway(Message):
    """The configuration refuses this client."""

    visit: U32


@message(50)
class OriginRead(Message):
    """Whom a proxy speaks for; None for itself, a text for why it is refused, "" if it is gone."""

    visit: U32
    origin: SecretRest


@message(51)
class Banned(Message):
    """Networks that are banned or never are: all of them, or one more."""

    whole: Bool
    bans: SecretRest


@message(42)
class Retire(Message):
    """Take no more connections, and end when those that there are have ended.

    :ivar seconds: for how long these may go on.
    """

    seconds: U32


@message(44)
class Drop(Message):
    """End a connection, and tell its client why."""

    session: String
    description: Text


@message(45)
class Describe(Message):
    """What happens on all connections?"""

    ask: U32


@message(46)
class DropVisit(Message):
    """End a connection that logs in, and tell its client why."""

    visit: U32
    description: Text


@message(43)
class Serve(Message):
    """Serve a connection, whose socket comes along."""

    about: SecretRest


@message(47)
class DescriptorGiven(Message):
    """The answer to a question for a descriptor, opened for one session: it comes along."""

    ask: U32


@message(57)
class ShowSession(Message):
    """Show a session of the connection over the socket that comes along.

    :ivar order: who watches, and how, packed.
    """

    session: String
    order: SecretRest


@message(48)
class BeginRecording(Message):
    """To the recorder: record what comes over the socket that comes along.

    :ivar about: whose session it is, packed.
    """

    about: SecretRest


@message(49)
class Numbers(Message):
    """The numbers of a moment, for monitoring."""

    snapshot: SecretRest


@message(70)
class HooksAre(Message):
    """To the process of hooks: all hooks that there are from now on, packed."""

    hooks: SecretRest


@message(71)
class TellHook(Message):
    """Tell a hook of an event.

    :ivar number: the event's number in the table of events.
    :ivar body: what the hook gets, as JSON.
    """

    hook: U32
    number: U64
    body: Rest


@message(72)
class HookTold(Message):
    """What became of an attempt to tell a hook of an event.

    :ivar outcome: ``done``, ``dead`` if there will be no further one, or ``failing``.
    :ivar attempts: how many there were of this event so far.
    :ivar reason: why it has failed.
    """

    hook: U32
    number: U64
    outcome: Text
    attempts: U32
    reason: Text


FROM_GATES: Mapping[int, type[Message]] = {
    one.NUMBER: one
    for one in (
        *(Arrived, SignExchange, NameUser, OfferPassword, QueryKey),
        *(ProveKey, ProveHost, AnswerPrompts, HandOver, Left, Reads, Ready, Stopped, LogRecord),
        ReadOrigin,
    )
}
FROM_SESSIONS: Mapping[int, type[Message]] = {
    one.NUMBER: one
    for one in (
        *(Sign, LookUp, AtTerminal, ConnectionOver, Rests, Described, AllDescribed, RecordSession),
        *(Certify, OpenLedger, OpenTrail, AuditedEvent, Reads, Ready, LogRecord),
    )
}
FROM_RECORDERS: Mapping[int, type[Message]] = {one.NUMBER: one for one in (Reads, Ready, LogRecord)}
TO_GATES: Mapping[int, type[Message]] = {
    one.NUMBER: one
    for one in (StartWith, Answered, TurnedAway, DropVisit, OriginRead, Banned, Retire)
}
TO_SESSIONS: Mapping[int, type[Message]] = {
    one.NUMBER: one
    for one in (
        *(StartWith, Answered, DescriptorGiven, Serve, Drop, Describe, ShowSession, Retire),
        *(Recorded, AuditState),
    )
}
TO_RECORDERS: Mapping[int, type[Message]] = {
    one.NUMBER: one for one in (StartWith, BeginRecording, Retire)
}
FROM_METRICS: Mapping[int, type[Message]] = {one.NUMBER: one for one in (Reads, Ready, LogRecord)}
TO_METRICS: Mapping[int, type[Message]] = {one.NUMBER: one for one in (StartWith, Numbers, Retire)}
FROM_HOOKS: Mapping[int, type[Message]] = {
    one.NUMBER: one for one in (HookTold, Reads, Ready, LogRecord)
}
TO_HOOKS: Mapping[int, type[Message]] = {
    one.NUMBER: one for one in (StartWith, HooksAre, TellHook, Retire)
}


def packed(value: object) -> bytes:
    """Return a value for a process with fewer rights than this one."""
    return pickle.dumps(value)


def unpacked(data: bytes) -> Any:
    """Return a value that came from a process with more rights than this one, and no other."""
    return pickle.loads(data)
