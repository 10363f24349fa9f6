import pytest

from nacre.cli.common.failures import explain, level_of
from nacre.config.values import LogLevel
from nacre.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    Disconnected,
    HostKeyChanged,
    HostKeyUnknown,
    NacreError,
    NoCommonAlgorithm,
    PacketCorrupt,
    PacketTooLarge,
    PeerSilent,
)


def hung_up():
    error = AuthenticationFailed("no", can_continue=["publickey"])
    error.__cause__ = Disconnected(2, "Too many authentication failures")
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            AuthenticationFailed("no", can_continue=["publickey", "password"]),
            "u@h: Permission denied (publickey,password).",
        ),
        (
            hung_up(),
            "Received disconnect from h: 2: Too many authentication failures\n"
            "u@h: Permission denied (publickey).",
        ),
        (HostKeyUnknown("unknown"), "unknown\nHost key verification failed."),
        (
            NoCommonAlgorithm("kex", ["a"], ["b", "c"]),
            "Unable to negotiate with h: no matching key exchange method found. Their offer: b,c\n",
        ),
        (
            NoCommonAlgorithm("cipher", ["a"], ["b"]),
            "Unable to negotiate with h: no matching cipher found. Their offer: b\n",
        ),
        (
            ConnectFailed("connect to host h port 22: Connection refused"),
            "ssh: connect to host h port 22: Connection refused",
        ),
        (DeadlineExceeded("too late"), "ssh: too late"),
        (ConfigurationError("bad"), "ssh: bad"),
        (Disconnected(11, "bye"), "Received disconnect from h: 11: bye"),
        (PeerSilent("silent"), "Timeout, server h not responding.\nsilent"),
        (
            PacketCorrupt("message authentication code incorrect"),
            "message authentication code incorrect\nConnection to h closed: ",
        ),
        (PacketTooLarge("Bad packet length 9"), "Bad packet length 9\nConnection to h closed: "),
        (ConnectionLost("gone"), "Connection to h closed by remote host: gone"),
        (NacreError("else"), "ssh: h: else"),
    ],
)
def test_explain(error, text):
    said = explain(error, "h", "u@h")
    assert said.startswith(text)


def test_every_mismatch_has_a_line():
    error = NoCommonAlgorithm(
        "kex", ["a"], ["b"], others=[NoCommonAlgorithm("MAC", ["c"], ["d"])], remedy="-o X=+b"
    )
    lines = explain(error, "h", "u@h").splitlines()
    assert lines[0].endswith("no matching key exchange method found. Their offer: b")
    assert lines[1].endswith("no matching MAC found. Their offer: d")
    assert lines[2].endswith("-o X=+b")
    assert len(lines) == 3


def test_the_hints_of_a_failed_login_stand_before_it():
    error = AuthenticationFailed("no", can_continue=["publickey"], hints=["not used: k"])
    assert explain(error, "h", "u@h") == "not used: k\nu@h: Permission denied (publickey)."


def test_a_changed_key_is_loud():
    lines = explain(HostKeyChanged("the details"), "h", "u@h").splitlines()
    assert "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!" in lines[1]
    assert lines[-2:] == ["the details", "Host key verification failed."]


def test_names_are_made_safe():
    assert "\x1b" not in explain(ConnectionLost("x"), "h\x1b[2J", "u@h")


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (ConnectFailed("refused"), LogLevel.ERROR),
        (Disconnected(2, "x"), LogLevel.ERROR),
        (PeerSilent("silent"), LogLevel.INFO),
        (AuthenticationFailed("no"), LogLevel.FATAL),
        (hung_up(), LogLevel.ERROR),
        (HostKeyChanged("x"), LogLevel.FATAL),
        (NacreError("x"), LogLevel.FATAL),
    ],
    ids=repr,
)
def test_the_level_of_a_message(error, level):
    assert level_of(error) is level


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            AuthenticationFailed("no", user="v", can_continue=["publickey"]),
            "v@gate: Permission denied (publickey).",
        ),
        (HostKeyUnknown("unknown"), "jump host gate: unknown\nHost key verification failed."),
        (ConnectFailed("refused"), "ssh: jump host gate: refused"),
        (DeadlineExceeded("too late"), "ssh: jump host gate: too late"),
        (PeerSilent("silent"), "Timeout, server gate not responding.\njump host gate: silent"),
        (ConnectionLost("x"), "Connection to gate closed by remote host: jump host gate: x"),
    ],
)
def test_an_error_of_a_jump_host_names_that(error, text):
    error.hop = "gate"
    assert explain(error, "h", "u@h") == text
