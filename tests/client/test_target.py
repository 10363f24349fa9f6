"""The host and the user that a program connects to."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config, parse
from nacre.errors import ConfigurationError


def test_a_target_is_what_the_configuration_makes_of_a_name() -> None:
    config = parse(["HostName=%h.example.org", "User=alice", "Port=2222"])
    target = Target.of("web", config)
    assert (target.name, target.host, target.port) == ("web", "web.example.org", 2222)
    assert target.destination == "alice@web"
    tokens = target.tokens()
    assert (tokens["h"], tokens["n"], tokens["p"], tokens["r"]) == (
        "web.example.org",
        "web",
        "2222",
        "alice",
    )
    with pytest.raises(ConfigurationError, match="%x is not possible here"):
        Target.of("web", parse(["HostName=%x"]))


def test_without_options_the_name_is_the_host_and_the_user_the_own_one() -> None:
    target = Target.of("web", ClientConfig())
    assert (target.host, target.port, target.user) == ("web", 22, getpass.getuser())


def test_the_user_of_a_file_may_have_tokens_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "red")
    (tmp_path / "config").write_text("User ${TEAM}-%h-%u\n")
    files = Config.load(tmp_path / "config")
    assert Target.of("web", files.lookup("web")).user == f"red-web-{getpass.getuser()}"
    assert Target.of("web", files.lookup("web", ["User=%h"])).user == "%h"


def test_the_alias_of_the_host_key_is_a_token() -> None:
    assert Target.of("web", parse(["HostKeyAlias=a"])).tokens()["k"] == "a"
    assert Target.of("web", ClientConfig()).tokens()["k"] == "web"


def test_a_destination_is_safe_to_print() -> None:
    target = Target("a\x1b[2J", "h", 22, "b\x07")
    assert "\x1b" not in target.destination
    assert "\x07" not in target.destination
