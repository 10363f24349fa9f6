from __future__ import annotations

import pytest

from nacre.cli.agent.arguments import parse_arguments
from nacre.errors import ConfigurationError


def test_nothing() -> None:
    made = parse_arguments([])
    assert (made.path, made.command, made.lifetime, made.hash_name) == (None, [], None, "sha256")
    assert made.websafe_only
    flags = ("c_shell", "bourne_shell", "foreground", "debug", "kill")
    assert not any(getattr(made, flag) for flag in flags)


def test_options_may_be_joined() -> None:
    made = parse_arguments(["-sD", "-a/run/agent", "-t", "1h30m", "-E", "MD5"])
    assert (made.path, made.lifetime, made.hash_name) == ("/run/agent", 5400, "md5")
    assert made.bourne_shell
    assert made.foreground


def test_the_command_keeps_its_options() -> None:
    made = parse_arguments(["-t", "5", "sh", "-c", "exit"])
    assert made.command == ["sh", "-c", "exit"]
    assert not made.c_shell
    assert parse_arguments(["--", "-x"]).command == ["-x"]


def test_no_lifetime() -> None:
    assert parse_arguments(["-t", "0"]).lifetime is None


def test_what_else_is_allowed() -> None:
    made = parse_arguments(["-O", "allow-remote-pkcs11", "-P", "/opt/*,!/opt/x"])
    assert made.remote_libraries
    assert made.websafe_only
    assert made.libraries == ["/opt/*", "!/opt/x"]
    made = parse_arguments(["-O", "no-restrict-websafe"])
    assert not made.websafe_only
    assert made.libraries == ["/usr/lib*/*", "/usr/local/lib*/*"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-x"], "-x not recognized"),
        (["-a"], "-a requires"),
        (["-t", "soon"], "-t"),
        (["-E", "crc"], "md5, sha1"),
        (["-O", "other"], "allow-remote-pkcs11, no-restrict-websafe"),
        (["-c", "-s"], "different shells"),
        (["-D", "true"], "-D is not for an agent with a command"),
        (["-k", "true"], "-k is not for"),
    ],
)
def test_what_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_arguments(words)
