"""The monitor's side of session processes: what they may say, and who has which."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
from collections.abc import Callable
from dataclasses import replace
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.audit.test_trail import make as audited
from daemon.separate.said import BLOB, HOST_KEY, Said
from daemon.separate.watched import until
from nacre.daemon.accounts.accounts import Login, own_account, system_login
from nacre.daemon.accounts.certifying import LONGEST_KEY
from nacre.daemon.audit.events import Teller
from nacre.daemon.separate import users as users_module
from nacre.daemon.separate.messages import (
    AllDescribed,
    Answered,
    AtTerminal,
    Certify,
    ConnectionOver,
    Describe,
    Described,
    DescriptorGiven,
    Drop,
    LogRecord,
    LookUp,
    NameUser,
    OpenLedger,
    OpenTrail,
    RecordSession,
    Rests,
    Retire,
    Sign,
    packed,
    unpacked,
)
from nacre.daemon.separate.monitor import (
    Configured,
)
from nacre.daemon.separate.resting import MOST_STATE, RestingVisits
from nacre.daemon.separate.session import HandedOver
from nacre.daemon.separate.users import UserProcess, UserProcesses
from nacre.daemon.separate.visit import Visit
from nacre.errors import AccountError, StateError
from nacre.keys import Certificate, PublicKey
from nacre.protocol.asks import SessionProof
from nacre.sftp.filesystems.quota.ledger import open_ledger
from nacre.wire.message import Message


class AtFirstGate(tuple[object, ...]):
    """What is handed over, at the first gate."""

    __slots__ = ()
    gate = 1


def handed(session: bytes) -> HandedOver:
    return cast(HandedOver, AtFirstGate(("handed over", session)))


class FakeVisit:
    """A login that is over; it notes where it goes."""

    keepalive = None, 3
    user = "alice"
    audit = None
    open_trail = Visit.open_trail

    def __init__(self, session: bytes, sock: socket.socket) -> None:
        self.session, self.sock = SessionProof(session, None), sock
        self.drop: Callable[[str], None] | None = None
        self.on_leave: Callable[[], None] | None = None
        self.went: list[object] = []

    def move(self, state: bytes, seconds: float) -> None:
        self.went.append(state)

    def fail(self, error: Exception, code: int, description: str) -> None:
        self.went.append(description)

    def record(self, event: str, **fields: object) -> None:
        self.went.append((event, *fields.values()))

    def record_error(self, what: str, error: Exception) -> None:
        self.went.append((what, error))

    def leave(self) -> None:
        self.went.append("left")
        self.sock.close()


def visit(session: bytes) -> Visit:
    sock, other = socket.socketpair()
    other.close()
    return cast(Visit, FakeVisit(session, sock))


@pytest.fixture
async def user() -> Any:
    said = Said(UserProcess("alice", lambda record: None, RestingVisits()))
    yield said
    said.close()


async def test_a_login_is_packed_anew_only_if_it_has_changed(user: Said) -> None:
    process = user.process
    assert isinstance(process, UserProcess)
    login = system_login(own_account())
    first = process.packed(login)
    assert process.packed(replace(login, environment=dict(login.environment))) is first
    moved = replace(login, home="/elsewhere")
    assert unpacked(process.packed(moved)) == moved
    assert unpacked(process.packed(None)) is None
    assert unpacked(process.packed(login)) == login


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Sign(1, b"other", BLOB, "ssh-ed25519", b"h" * 32), "no connection"),
        (LookUp(1, b"other"), "no connection"),
        (RecordSession(1, b"other"), "no connection"),
        (Sign(1, b"session", BLOB, "ssh-ed25519", b"what a user signs"), "no exchange hash"),
        (NameUser(1, 1, "root"), "no such message"),
        (Described(0, b"session", 0, False, 0, 0, 0, 0, 0, b""), "nobody has asked"),
        (AllDescribed(0), "nobody has asked"),
        (Certify(1, b"other", BLOB), "no connection"),
        (OpenLedger(1, b"other", ""), "no connection"),
        (OpenTrail(1, b"other"), "no connection"),
        (Certify(1, b"session", b"no key"), "can't be read"),
        (Certify(1, b"session", bytes(LONGEST_KEY + 1)), "too long"),
    ],
    ids=[
        *("sign for another", "look another up", "record another", "sign anything", "a gate's"),
        *("describe unasked", "have described unasked"),
        *("certify for another", "open a ledger of another", "open a trail of another"),
        *("certify no key", "certify too much"),
    ],
)
async def test_what_a_session_process_may_not_say_ends_it(
    user: Said, configured: Configured, message: Message, reason: str
) -> None:
    assert isinstance(user.process, UserProcess)
    user.process.serve(visit(b"session"), configured, handed(b"session"))
    user.say(message)
    assert reason in str(await user.over())


async def test_a_session_process_has_its_exchanges_signed(
    user: Said, configured: Configured
) -> None:
    assert isinstance(user.process, UserProcess)
    user.process.serve(visit(b"session"), configured, handed(b"session"))
    user.heard()
    user.say(Sign(7, b"session", BLOB, "ssh-ed25519", b"h" * 32))
    answer = await asyncio.to_thread(user.heard)
    made = Answered.decode(answer)
    assert made.ask == 7
    signature = packed(HOST_KEY.sign(b"h" * 32, "ssh-ed25519"))
    assert bytes(made.answer) == signature


async def test_a_session_gets_a_socket_to_the_recorder(user: Said, configured: Configured) -> None:
    assert isinstance(user.process, UserProcess)
    asked: list[object] = []

    async def recorder(client: object, gate: int) -> socket.socket:
        asked.append((client, gate))
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours

    configured.recorder = recorder
    served = visit(b"session")
    user.process.serve(served, configured, handed(b"session"))
    user.heard()
    user.say(RecordSession(7, b"session"))
    assert DescriptorGiven.decode(await asyncio.to_thread(user.heard)).ask == 7
    assert asked == [(served, 1)]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, "this server records nothing"),
        (StateError("there is no recorder"), "there is no recorder"),
        (RuntimeError("of ours"), "the server failed, and its log has more"),
    ],
)
async def test_a_session_is_told_that_there_is_no_recorder(
    error: Exception | None, told: str, user: Said, configured: Configured
) -> None:
    async def recorder(*_: object) -> socket.socket:
        assert error is not None
        raise error

    assert isinstance(user.process, UserProcess)
    configured.recorder = None if error is None else recorder
    user.process.serve(visit(b"session"), configured, handed(b"session"))
    user.heard()
    user.say(RecordSession(7, b"session"))
    answer = Answered.decode(await asyncio.to_thread(user.heard))
    assert unpacked(answer.answer) == told


async def test_a_look_up_that_fails_is_answered(
    user: Said, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session would wait for ever."""

    async def login(*_: object) -> Login:
        raise RuntimeError("no thread can be started")

    assert isinstance(user.process, UserProcess)
    monkeypatch.setattr(configured.policy, "login", login)
    user.process.serve(visit(b"session"), configured, handed(b"session"))
    user.heard()
    user.say(LookUp(7, b"session"))
    answer = Answered.decode(await asyncio.to_thread(user.heard))
    assert unpacked(answer.answer) == "the login can't be looked up"


@pytest.mark.parametrize("blob", [BLOB, b""], ids=["a key", "the login's"])
async def test_a_session_process_gets_a_certificate_or_the_reason(
    user: Said, configured: Configured, monkeypatch: pytest.MonkeyPatch, blob: bytes
) -> None:
    made = Certificate.issue(HOST_KEY.public, HOST_KEY)
    reasons: list[Exception] = [AccountError("no"), RuntimeError("a bug"), TimeoutError("slow")]

    async def certify(name: str, client: object, key: PublicKey | None) -> Certificate:
        assert (name, key) == ("alice", HOST_KEY.public if blob else None)
        if reasons:
            raise reasons.pop()
        return made

    assert isinstance(user.process, UserProcess)
    monkeypatch.setattr(configured.policy, "certify", certify)
    user.process.serve(visit(b"session"), configured, handed(b"session"))
    user.heard()
    for expected in ("slow", "the server failed, and its log has more", "no", made.blob):
        user.say(Certify(7, b"session", blob))
        answer = Answered.decode(await asyncio.to_thread(user.heard))
        assert (answer.ask, unpacked(answer.answer)) == (7, expected)


async def test_a_session_process_gets_the_ledger_of_its_user_or_the_reason(
    user: Said, configured: Configured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reasons: list[Exception] = [AccountError("no"), RuntimeError("a bug"), OSError(28, "full")]
    opened: list[FileIO] = []

    async def ledger(name: str, client: object, group: str | None) -> FileIO:
        if reasons:
            raise reasons.pop()
        opened.append(open_ledger(tmp_path, group or name))
        return opened[-1]

    assert isinstance(user.process, UserProcess)
    monkeypatch.setattr(configured.policy, "ledger", ledger)
    user.process.serve(visit(b"session"), configured, handed(b"session"))
    user.heard()
    for expected in ("[Errno 28] full", "the server failed, and its log has more", "no"):
        user.say(OpenLedger(7, b"session", ""))
        answer = Answered.decode(await asyncio.to_thread(user.heard))
        assert (answer.ask, unpacked(answer.answer)) == (7, expected)
    for number, group in ((8, ""), (9, "staff")):
        user.say(OpenLedger(number, b"session", group))
        assert DescriptorGiven.decode(await asyncio.to_thread(user.heard)).ask == number
    assert all(one.closed for one in opened)  # the monitor keeps none
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alice", "staff"]


async def test_a_session_process_gets_a_socket_to_the_audit_for_its_own_connection(
    user: Said, configured: Configured
) -> None:
    assert isinstance(user.process, UserProcess)
    keeper, _, log = audited()
    served = visit(b"session")
    served.id, served.user, served.peer = 7, "alice", ("192.0.2.1", 9)
    user.process.serve(served, configured, handed(b"session"))
    user.heard()
    for audit, expected in ((None, "this server has no audit"), (log, "no socket is left")):
        served.audit = audit  # type: ignore[misc]
        user.say(OpenTrail(7, b"session"))
        answer = Answered.decode(await asyncio.to_thread(user.heard))
        assert (answer.ask, unpacked(answer.answer)) == (7, expected)
    ours, keeper.socket = socket.socketpair()
    user.say(OpenTrail(8, b"session"))
    assert DescriptorGiven.decode(await asyncio.to_thread(user.heard)).ask == 8
    assert keeper.tellers == [Teller("3.1.7", "alice", "192.0.2.1:9")] * 2
    assert keeper.socket.fileno() < 0  # the monitor keeps none
    ours.close()


class Handed:
    """Connections of one user that are handed over; their session processes are sockets here."""

    def __init__(self, configured: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: list[str] = []
        self.processes: list[Said] = []
        self.users = UserProcesses(None, lambda record: None)
        self._configured = configured

        async def start(process: UserProcess, *_: object, **__: object) -> None:
            self.processes.append(Said(process))

        monkeypatch.setattr(UserProcess, "start", start)

    async def hand_over(self, session: bytes) -> Visit:
        """Return the visit after it has begun to be served, or has not."""
        sock, other = socket.socketpair()
        other.close()
        made = Visit(
            *(1, sock, self._configured.made, self._configured.sign, lambda _: None),
            lambda *_: None,
            lambda record: self.records.append(str(record["error"])),
        )
        made.user, made.session = "alice", SessionProof(session, HOST_KEY.public)
        self.users.hand_over(made, self._configured, 1, b"state", None)
        await asyncio.gather(*self.users._tasks - {self._watching()})
        return made

    def _watching(self) -> object:
        return next((one for one in self.users._tasks if "_watch" in repr(one)), None)

    def close(self) -> None:
        for one in self.processes:
            one.close()
        for task in self.users._tasks:
            task.cancel()


@pytest.fixture
async def handing(configured: Configured, monkeypatch: pytest.MonkeyPatch) -> Any:
    async def login(*_: object) -> Login:
        raise AccountError("no such account")

    monkeypatch.setattr(configured.policy, "login", login)
    made = Handed(configured, monkeypatch)
    yield made
    made.close()


async def test_a_session_identifier_that_is_in_use_is_not_served_again(handing: Handed) -> None:
    """A gate that was taken over chooses it; the connection before would never be left."""
    first, second = await handing.hand_over(b"one"), await handing.hand_over(b"one")
    (process,) = handing.processes
    assert isinstance(process.process, UserProcess)
    assert process.process._served[b"one"][0] is first
    assert "session of this identifier" in handing.records[-1]
    assert second.sock.fileno() < 0


async def test_a_process_that_has_ended_meanwhile_serves_nobody(handing: Handed) -> None:
    await handing.hand_over(b"one")
    (process,) = handing.processes
    assert isinstance(process.process, UserProcess)
    process.process.lost()
    assert not process.process.can_serve(b"two")


@pytest.mark.parametrize("failure", [ValueError, RuntimeError])
async def test_a_policy_that_fails_at_the_handover_leaves_nothing_open(
    handing: Handed, configured: Configured, monkeypatch: pytest.MonkeyPatch, failure: Any
) -> None:
    def authenticated(*_: object) -> None:
        raise failure("no thread can be started")

    monkeypatch.setattr(configured.policy, "authenticated", authenticated)
    left = await handing.hand_over(b"one")
    assert left.sock.fileno() < 0
    assert handing.processes == []
    assert failure.__name__ in handing.records[-1]


async def test_a_process_is_retired_when_its_last_connection_has_ended(
    user: Said, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_module, "IDLE", 0.0)
    assert isinstance(user.process, UserProcess)
    for session in (b"one", b"two"):
        user.process.serve(visit(session), configured, handed(session))
        user.heard()
    user.say(ConnectionOver(b"one"))
    user.say(LogRecord(b'{"event": "x"}'))
    user.say(ConnectionOver(b"two"))
    told = await asyncio.to_thread(user.heard)
    assert told == Retire(0).encode()
    assert user.process.retired


def test_the_rights_of_a_session_process() -> None:
    users = UserProcesses((65534, 65534, (), 0o022), lambda record: None)
    account = SimpleNamespace(uid=1000, gid=100, groups=(100, 5), umask=0o027)
    other = SimpleNamespace(credentials=account)
    rights: Callable[[Any], Any] = users._rights
    assert rights(None) == (65534, 65534, (), 0o022)
    assert rights(SimpleNamespace(account=other, root=None)) == (1000, 100, (100, 5), 0o027)
    # It enters the root directory for each session, which root alone can.
    assert rights(SimpleNamespace(account=other, root="/srv")) is None
    own = SimpleNamespace(credentials=None)
    assert rights(SimpleNamespace(account=own, root=None)) is None


async def test_a_process_that_nobody_uses_is_retired(
    user: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its login may have failed while it was started."""
    monkeypatch.setattr(users_module, "IDLE", 0.0)
    assert isinstance(user.process, UserProcess)
    user.process.rest()
    told = await asyncio.to_thread(user.heard)
    assert told == Retire(0).encode()


async def test_a_process_that_is_gone_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, configured: Configured
) -> None:
    users = UserProcesses(None, lambda record: None)
    started: list[UserProcess] = []

    async def start(process: UserProcess, *_: object, **__: object) -> None:
        started.append(process)

    monkeypatch.setattr(UserProcess, "start", start)
    first = await users._process("alice", None, configured)
    assert await users._process("alice", None, configured) is first
    first.lost()
    first.gone.set()
    async with asyncio.timeout(30):
        await users.wait_closed()
    await asyncio.gather(*users._tasks)
    assert (users._processes, users._latest) == ({}, {})
    assert await users._process("alice", None, configured) is not first
    started[-1].lost()


# --- rest ---


@pytest.fixture
def ends() -> Any:
    ours, client = socket.socketpair()
    yield ours, client
    for sock in (ours, client):
        sock.close()


async def reported(user: Said) -> None:
    """Return when everything that the process has said was read."""
    done = asyncio.Event()
    user.process.report = lambda record: done.set()
    user.say(LogRecord(b'{"event": "x"}'))
    async with asyncio.timeout(30):
        await done.wait()


async def test_a_connection_rests_and_its_client_comes_back(
    user: Said, configured: Configured, ends: Any
) -> None:
    ours, client = ends
    assert isinstance(user.process, UserProcess)
    one = visit(b"session")
    user.process.serve(one, configured, handed(b"session"))
    user.say(Rests(b"session", b"state"), ours.fileno())
    await reported(user)
    went = cast(FakeVisit, one).went
    assert went == []
    assert user.process._idle is not None  # nobody is left
    client.send(b"x")
    await until(lambda: went)
    assert went == [b"state"]
    assert one.sock.recv(10) == b"x", "the monitor reads nothing"
    one.leave()


async def test_who_was_told_to_end_while_it_went_to_rest_is_told_again(
    user: Said, configured: Configured, ends: Any
) -> None:
    ours, _ = ends
    assert isinstance(user.process, UserProcess)
    one = visit(b"session")
    user.process.serve(one, configured, handed(b"session"))
    user.heard()
    assert one.drop is not None
    one.drop("go away")
    assert user.heard() == Drop(b"session", "go away").encode()
    user.say(Rests(b"session", b"state"), ours.fileno())
    await reported(user)
    assert cast(FakeVisit, one).went == ["go away", b"state"]
    one.leave()


@pytest.mark.parametrize(
    ("message", "which"),
    [
        (Rests(b"other", b"state"), 0),
        (Rests(b"session", bytes(MOST_STATE + 1)), 0),
        (Rests(b"session", b"state"), None),
        (Rests(b"session", b"state"), 1),
    ],
    ids=["of another", "too long", "without a socket", "with another file"],
)
async def test_what_may_not_rest_ends_a_process(
    user: Said, configured: Configured, ends: Any, message: Rests, which: int | None
) -> None:
    assert isinstance(user.process, UserProcess)
    one = visit(b"session")
    user.process.serve(one, configured, handed(b"session"))
    with open(os.devnull) as file:
        along = (ends[0], file)
        user.say(message, *([] if which is None else [along[which].fileno()]))
        assert await user.over()
    assert cast(FakeVisit, one).went == ["left"]


@pytest.mark.parametrize(
    ("terminal", "noted"),
    [
        ("own", True),
        ("another's", False),
        ("/dev/pts/99999", True),  # its program has ended already
        ("/dev/pts/../null", False),
        ("/dev/tty0", False),
    ],
)
async def test_a_login_at_a_terminal_is_noted_if_it_may_be_the_users(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, terminal: str, noted: bool
) -> None:
    said: list[str] = []
    record = SimpleNamespace(begin=said.append, end=said.append)
    monkeypatch.setattr(users_module, "TerminalLogin", lambda *_: record)
    ours, theirs = pty.openpty()
    try:
        account = replace(own_account(), uid=os.geteuid() + (terminal == "another's"))
        login: Any = SimpleNamespace(name="alice", account=account, pam=None)
        path = os.ttyname(theirs) if terminal in ("own", "another's") else terminal
        process = UserProcess("alice", lambda _: None, cast(Any, None))
        seen: Any = SimpleNamespace(host="h", peer=("127.0.0.1", 1))
        process._record(AtTerminal(b"session", path, True), login, seen)
        process._record(AtTerminal(b"session", path, False), login, seen)
    finally:
        os.close(ours)
        os.close(theirs)
    assert said == [path] * (2 * noted)


# --- what it says of its connections ---


def nothing_of(ask: int, session: bytes) -> Described:
    return Described(ask, session, 2500, True, 10, 20, 1, 0, 0, b"")


async def test_a_process_describes_its_connections_when_it_is_asked(
    user: Said, configured: Configured
) -> None:
    assert isinstance(user.process, UserProcess)
    assert await user.process.describe() == {}
    one, two = visit(b"one"), visit(b"two")
    for session, each in ((b"one", one), (b"two", two)):
        user.process.serve(each, configured, handed(session))
        user.heard()
    asking = [asyncio.create_task(user.process.describe()) for _ in range(2)]
    assert await asyncio.to_thread(user.heard) == Describe(1).encode()  # both ask once
    user.say(nothing_of(1, b"one"))
    user.say(AllDescribed(1))
    for task in asking:
        found = await task
        assert found[two] is None
        first = found[one]
        assert first is not None
        assert (first.idle, first.received, first.sent) == (2.5, 10, 20)
    user.say(AllDescribed(1))
    assert "nobody has asked" in str(await user.over())


async def test_a_process_that_is_stopped_is_asked_once(
    user: Said, configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_module, "PATIENCE", 0.05)
    assert isinstance(user.process, UserProcess)
    one = visit(b"one")
    user.process.serve(one, configured, handed(b"one"))
    user.heard()
    for _ in range(3):
        assert await user.process.describe() == {one: None}
    assert user.heard() == Describe(1).encode()
    user.raw.setblocking(False)
    with pytest.raises(BlockingIOError):
        user.raw.recv(1)


async def test_a_description_of_no_connection_ends_a_process(
    user: Said, configured: Configured
) -> None:
    assert isinstance(user.process, UserProcess)
    one = visit(b"one")
    user.process.serve(one, configured, handed(b"one"))
    user.heard()
    asking = asyncio.create_task(user.process.describe())
    await asyncio.to_thread(user.heard)
    user.say(nothing_of(1, b"other"))
    assert "no connection" in str(await user.over())
    assert await asking == {}
    assert not user.process.keeps(one)


async def test_a_process_keeps_what_it_was_told_to_end(user: Said, configured: Configured) -> None:
    assert isinstance(user.process, UserProcess)
    one = visit(b"one")
    user.process.serve(one, configured, handed(b"one"))
    assert not user.process.keeps(one)
    assert one.drop is not None
    one.drop("why")
    assert user.process.keeps(one)
    user.say(ConnectionOver(b"one"))
    await until(lambda: not user.process.keeps(one))  # type: ignore[attr-defined]
