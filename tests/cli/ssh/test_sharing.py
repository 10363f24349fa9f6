from __future__ import annotations

import pytest

from cli.quick.scripted_master import ScriptedMaster
from nacre.cli.common.log import Log
from nacre.cli.quick import passenger
from nacre.cli.ssh.session import plan
from nacre.cli.ssh.sharing import COMMANDS, Asked, as_passenger, command, share
from nacre.client.sharing import messages as m
from nacre.client.target import Target
from nacre.config.client.files import parse
from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError
from nacre.wire.message import Record

OPENED = m.SessionOpened(0, 1)


class Told(Log):
    """A log that keeps what it is told."""

    def __init__(self):
        self.level = LogLevel.DEBUG1
        self.texts = []

    def write(self, level, text):
        self.texts.append(text)


def asked(path, *options, join=None, line="true"):
    config = parse([f"ControlPath={path}", *options])
    target = Target.of("host", config)
    planned = plan(config, line, target.tokens(), print)
    return Asked(path, target, config, planned, join)


def test_forwardings_are_begun_before_the_session():
    options = ["LocalForward=127.0.0.1:1 b:2", "LocalForward=/s /t", "DynamicForward=3"]
    options += ["RemoteForward=0 c:4", "RemoteForward=*:5"]
    answers: dict[type[Record], list[Record]] = {
        m.OpenForward: [m.Done(0)],
        m.NewSession: [OPENED, m.Exited(1, 6)],
    }
    with ScriptedMaster(answers) as master:
        assert share(asked(master.path, *options), Told()) == 6
        forwards = [vars(one) for one in master.taken if isinstance(one, m.OpenForward)]
    assert [tuple(one.values())[1:] for one in forwards] == [
        (m.LOCAL, "127.0.0.1", 1, "b", 2),
        (m.LOCAL, "/s", m.UNIX_SOCKET, "/t", m.UNIX_SOCKET),
        (m.DYNAMIC, "", 3, m.SOCKS, 0),
        (m.REMOTE, "", 0, "c", 4),
        (m.REMOTE, "*", 5, m.SOCKS, 0),
    ]


@pytest.mark.parametrize(("join", "status"), [(None, None), (("h", 1), 255), ("/s", 255)])
def test_what_is_refused(join, status):
    refused = [m.Failure(0, "no")]
    with ScriptedMaster({m.NewSession: refused, m.NewStdioForward: refused}) as master:
        log = Told()
        assert share(asked(master.path, join=join), log) == status
    assert log.texts[-1].endswith("request failed: no")


@pytest.mark.parametrize("sharing", ["yes", "ask"])
def test_who_is_the_master_asks_nobody(sharing):
    with ScriptedMaster({}) as master:
        assert share(asked(master.path, f"ControlMaster={sharing}"), Told()) is None
        assert master.taken == []


def test_a_master_that_refused_already_is_not_asked(monkeypatch):
    with ScriptedMaster({}) as master:
        monkeypatch.setattr(passenger, "turned_down", master.path)
        assert share(asked(master.path), Told()) is None
        assert master.taken == []


@pytest.mark.parametrize(
    ("name", "answers", "out", "err"),
    [
        ("check", {m.AliveCheck: [m.Alive(0, 77)]}, "", "Master running (pid=77)\r\n"),
        ("exit", {m.Terminate: [m.Done(0)]}, "", "Exit request sent.\r\n"),
        ("stop", {m.StopListening: [m.Done(0)]}, "", "Stop listening request sent.\r\n"),
        ("forward", {m.OpenForward: [m.PortChosen(0, 99)]}, "99\n", ""),
        ("cancel", {m.CloseForward: [m.Failure(0, "not there")]}, "", ""),
        ("conninfo", {m.GetInformation: [m.Information(0, "a\nb\x1b\n")]}, "a\nb\\x1b\n", ""),
        ("channels", {m.GetInformation: [m.Information(0, "a")]}, "a\n", ""),
    ],
)
def test_commands(capsys, name, answers, out, err):
    config = parse(["RemoteForward=0 b:2"])
    with ScriptedMaster(answers) as master:
        assert command(name, master.path, config, Told()) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (out, err)


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {"cancel", "proxy"}))
@pytest.mark.parametrize("answer", [[m.Forbidden(0, "no\n")], []], ids=["refused", "end"])
def test_commands_that_fail(name, answer):
    kinds = (m.AliveCheck, m.Terminate, m.StopListening, m.OpenForward, m.GetInformation)
    answers = dict.fromkeys(kinds, answer)
    with ScriptedMaster(answers) as master, pytest.raises(ConfigurationError) as caught:
        command(name, master.path, parse(["LocalForward=1 b:2"]), Told())
    assert "\n" not in str(caught.value)


def test_a_command_needs_a_name_and_a_path():
    with pytest.raises(ConfigurationError, match="Invalid multiplex command"):
        command("dance", "/m", parse([]), Told())
    with pytest.raises(ConfigurationError, match="No ControlPath"):
        command("check", None, parse([]), Told())
    with pytest.raises(ConfigurationError, match="No such file"):
        command("check", "/nonexistent/m", parse([]), Told())


def test_what_a_session_is_to_forward():
    made = as_passenger(asked("/m", "ForwardX11=yes", "ForwardAgent=yes"))
    assert (made.x11, made.agent) == (True, True)
    made = as_passenger(asked("/m"))
    assert (made.x11, made.agent) == (False, False)
