from __future__ import annotations

import os
import signal
import socket
import tempfile

import pytest

from cli.shared.scripted_master import ScriptedMaster
from nacre.cli.shared.session import Control, MasterRefused, NoMaster, SharedSession, run
from nacre.client.sharing import messages as m

OPENED = m.SessionOpened(0, 5)


@pytest.fixture(autouse=True)
def kept_signals():
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGWINCH)
    kept = [(number, signal.getsignal(number)) for number in numbers]
    yield
    for number, handler in kept:
        signal.signal(number, handler)


def asked(path="/run/m", **fields):
    made = SharedSession(path, "host")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def session(**fields):
    usual = {"terminal": 0, "x11": 0, "agent": 0, "subsystem": 0, "escape": m.NO_ESCAPE}
    texts = {"terminal_type": "", "command": "", "environment": b""}
    return m.NewSession(**{"request_id": 0, "reserved": b"", **usual, **texts, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, session()),
        ({"command": b"a b"}, session(command="a b")),
        ({"command": b"sftp", "subsystem": True}, session(command="sftp", subsystem=1)),
        (
            {"terminal": True, "escape": 126, "agent": True},
            session(terminal=1, escape=126, agent=1, terminal_type="vt100"),
        ),
        ({"environment": [b"A=1", b"B="]}, session(environment=m.joined(["A=1", "B="]))),
        ({"place": ("h", 22)}, m.NewStdioForward(0, b"", "h", 22)),
    ],
    ids=["shell", "command", "subsystem", "terminal", "environment", "join"],
)
def test_requests_are_those_of_the_protocol(monkeypatch, fields, message):
    monkeypatch.setenv("TERM", "vt100")
    assert asked(**fields).request() == m.encode(message)


def test_a_session():
    with ScriptedMaster({m.NewSession: [OPENED, m.Exited(5, 7)]}) as master:
        assert run(asked(master.path, command=b"x")) == 7
        assert master.taken == [m.Hello(4, b""), session(command="x")]
    assert master.descriptors == 3


def test_a_session_without_a_status():
    with ScriptedMaster({m.NewSession: [OPENED], m.AliveCheck: []}) as master:
        control = Control(master.path, None)
        control.send(asked().request(), 0, 1, 2)
        control.send(m.encode(m.AliveCheck(0)))
        assert run(asked(command=None), control) == 255


def test_a_place():
    with ScriptedMaster({m.NewStdioForward: [OPENED, m.Exited(5, 0)]}) as master:
        assert run(asked(master.path, place=("h", 1))) == 0
    assert master.descriptors == 2


@pytest.mark.parametrize(
    ("answer", "place", "said"),
    [
        (m.Forbidden(0, "no"), None, "Master refused session request: no"),
        (m.Failure(0, "a\nb"), None, "Session request failed: a?b"),
        (m.Failure(0, "x" * 5000), ("h", 1), "Stdio forwarding request failed: " + "x" * 1000),
    ],
)
def test_a_refusal(answer, place, said):
    """The program goes on without the master, and its signals are as they were."""
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    answers = {m.NewSession: [answer], m.NewStdioForward: [answer]}
    with ScriptedMaster(answers) as master, pytest.raises(MasterRefused) as caught:
        run(asked(master.path, place=place))
    assert str(caught.value) == said
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


@pytest.mark.parametrize("hello", [m.Hello(5, b""), m.Done(0)], ids=["version", "message"])
def test_what_is_no_master(hello):
    with ScriptedMaster({}, hello) as master, pytest.raises(NoMaster, match="another version"):
        Control(master.path, None)


def test_a_master_that_says_nothing():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as held:
        held.bind(f"{folder}/m")
        held.listen()
        with pytest.raises(NoMaster, match="does not answer"):
            Control(f"{folder}/m", 0.05)


def test_a_message_that_is_too_long():
    with ScriptedMaster({m.AliveCheck: [m.Failure(0, "x" * (m.MAXIMUM_MESSAGE))]}) as master:
        control = Control(master.path, None)
        control.send(m.encode(m.AliveCheck(0)))
        with pytest.raises(NoMaster, match="announces"):
            control.receive()
        control.socket.close()


def test_without_a_socket(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(asked(str(tmp_path / "m")))


def test_standard_input_may_be_left_out():
    with ScriptedMaster({m.NewSession: [OPENED, m.Exited(5, 0)]}) as master:
        before = len(os.listdir("/proc/self/fd"))
        assert run(asked(master.path, reads=False)) == 0
        assert len(os.listdir("/proc/self/fd")) <= before
