"""The tree of errors: as it is drawn, with the codes that a DISCONNECT carries."""

from __future__ import annotations

import builtins
import copy
import pickle
import re
from collections.abc import Callable

import pytest

import nacre
from nacre import errors
from nacre.errors import (
    AuthenticationFailed,
    ChannelOpenFailed,
    ConnectionLost,
    DeadlineExceeded,
    DisconnectCode,
    Disconnected,
    HostKeyChanged,
    HostKeyError,
    KexFailed,
    NacreError,
    NoCommonAlgorithm,
    PacketCorrupt,
    ProtocolError,
    RemoteProtocolError,
    SFTPError,
    VersionError,
)

CLASSES: dict[str, type[NacreError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, NacreError)
}


def drawn() -> dict[str, str]:
    """Return the parent of each class in the tree of the module's docstring."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ((?:│   |    )*)(?:[├└]── )?([A-Z]\w+)", line):
            branch = "── " in line
            depth = len(found[1]) // 4 + branch
            del path[depth:]
            if path:
                parents[found[2]] = path[-1]
            path.append(found[2])
    return parents


def test_the_tree_in_the_docstring_is_the_one_of_the_classes() -> None:
    actual = {
        name: next(base.__name__ for base in kind.__bases__ if issubclass(base, NacreError))
        for name, kind in CLASSES.items()
        if kind is not NacreError
    }
    assert drawn() == actual


@pytest.mark.parametrize(
    ("line", "builtin"),
    [
        (line.strip(), found[1])
        for line in (errors.__doc__ or "").splitlines()
        if (found := re.search(r"also an? (\w+)", line))
    ],
)
def test_what_a_line_of_the_tree_calls_also_a_builtin_is_one(line: str, builtin: str) -> None:
    name = re.search(r"[A-Z]\w+", line)
    assert name is not None
    base = getattr(builtins, builtin)
    assert issubclass(CLASSES[name[0]], base)


def test_every_exported_error_is_of_this_module() -> None:
    exported = {n for n in nacre.__all__ if isinstance(getattr(nacre, n), type)}
    found = {n for n in exported if issubclass(getattr(nacre, n), Exception)}
    assert found
    assert found <= set(CLASSES)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ProtocolError, DisconnectCode.PROTOCOL_ERROR),
        (RemoteProtocolError, DisconnectCode.PROTOCOL_ERROR),
        (VersionError, DisconnectCode.PROTOCOL_VERSION_NOT_SUPPORTED),
        (PacketCorrupt, DisconnectCode.MAC_ERROR),
        (KexFailed, DisconnectCode.KEY_EXCHANGE_FAILED),
        (HostKeyChanged, DisconnectCode.HOST_KEY_NOT_VERIFIABLE),
        (AuthenticationFailed, DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE),
    ],
)
def test_codes(kind: type[ProtocolError], code: DisconnectCode) -> None:
    assert kind("reason").code is code


def test_a_code_of_its_own_leaves_the_class_alone() -> None:
    error = RemoteProtocolError("reason", DisconnectCode.MAC_ERROR)
    assert error.code is DisconnectCode.MAC_ERROR
    assert RemoteProtocolError("reason").code is DisconnectCode.PROTOCOL_ERROR


def test_no_common_algorithm_names_both_lists_and_the_remedy() -> None:
    error = NoCommonAlgorithm("cipher", ["aes128-ctr"], [])
    assert (error.kind, error.local, error.remote) == ("cipher", ("aes128-ctr",), ())
    assert "we offer aes128-ctr" in str(error)
    assert "the peer offers (none)" in str(error)
    assert "name it in the options" in str(error)


@pytest.mark.parametrize("kind", [Disconnected, ChannelOpenFailed])
def test_a_reason_without_a_text_is_its_code(
    kind: type[Disconnected] | type[ChannelOpenFailed],
) -> None:
    assert str(kind(2, "")).endswith("reason code 2")
    assert str(kind(2, "go away")).endswith("go away")


@pytest.mark.parametrize("kind", [NacreError, ConnectionLost, DeadlineExceeded, HostKeyError])
def test_an_error_of_a_jump_host_names_it(kind: type[NacreError]) -> None:
    error = kind("why")
    assert (error.hop, str(error)) == ("", "why")
    error.hop = "gate"
    assert str(error) == "jump host gate: why"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.hop, str(again)) == (kind, "gate", "jump host gate: why")


def test_an_sftp_error_is_an_os_error_with_a_code() -> None:
    error = SFTPError(2, "no such file", "/x", code=2)
    assert (error.errno, error.strerror, error.filename, error.code) == (2, "no such file", "/x", 2)
    assert SFTPError(5, "failure").code == 4


EXAMPLES: list[NacreError] = [
    Disconnected(11, "bye"),
    ChannelOpenFailed(1, "no"),
    NoCommonAlgorithm("kex", ["a"], ["b"]),
    AuthenticationFailed("no", user="u", tried=["password"], can_continue=["publickey"]),
    SFTPError(5, "it failed", "/path", code=4),
    ProtocolError("wrong", DisconnectCode.MAC_ERROR),
    *(kind("text") for kind in CLASSES.values() if kind.__init__ is NacreError.__init__),
    *(
        kind("text")
        for kind in CLASSES.values()
        if issubclass(kind, errors.ConnectionLost) and kind is not Disconnected
    ),
]


@pytest.mark.parametrize("way", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied_and_sent_to_another_process(
    error: NacreError, way: Callable[[NacreError], NacreError]
) -> None:
    """A pool of processes whose worker raises what can't be unpickled waits for ever."""
    error.stdout = "printed"
    other = way(error)
    assert type(other) is type(error)
    assert (str(other), other.args) == (str(error), error.args)
    assert vars(other) == vars(error)
    for name in ("errno", "strerror", "filename"):
        assert getattr(other, name, None) == getattr(error, name, None)
