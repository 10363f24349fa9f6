"""The words of ``nacre serve -o``."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.config.server.config import AS_SSHD, ServerConfig
from nacre.config.server.files import parse
from nacre.config.server.words import SCHEMA
from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError

KEYWORDS = [word.name for word in SCHEMA.words if word.name not in ("Match", "Include")]


def test_nothing_said_is_the_default() -> None:
    assert parse([]) == ServerConfig()
    assert ServerConfig().limits().auth_attempts == 6
    assert ServerConfig().limits().rekey_bytes == 1 << 30


def test_words_are_known_in_any_case() -> None:
    assert parse(["LOGLEVEL=info"]) == ServerConfig()


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("MaxAuthTries=3", "max_auth_tries", 3),
        ("RequiredRSASize=1024", "required_rsa_size", 1024),
        ("Protocol=2,1", "protocol", (2, 1)),
        ("Protocol=2", "protocol", (2,)),
        ("maxauthtries 3", "max_auth_tries", 3),
        ("MaxSessions=0", "max_sessions", 0),
        ("MaxStartups=5", "max_startups", "5"),
        ("MaxStartups=5:50:20", "max_startups", "5:50:20"),
        ("LoginGraceTime=1m", "login_grace_time", 60),
        ("Banner=/etc/issue", "banner", Path("/etc/issue")),
        ("Banner=none", "banner", None),
        ("ClientAliveInterval=15s", "client_alive_interval", 15),
        ("ClientAliveCountMax=0", "client_alive_count_max", 0),
        ("LogLevel=verbose", "log_level", LogLevel.VERBOSE),
        ("LogLevel=DEBUG", "log_level", LogLevel.DEBUG1),
        ("Compression=no", "compression", "none"),
        ("AcceptEnv=LANG LC_*", "accept_env", ("LANG", "LC_*")),
        ("TCPKeepAlive=no", "tcp_keep_alive", False),
        ("PasswordAuthentication=no", "password_authentication", False),
        ("ChallengeResponseAuthentication=no", "kbd_interactive_authentication", False),
        ("PermitRootLogin=without-password", "permit_root_login", "prohibit-password"),
        ("AllowUsers=a b@192.0.2.0/24", "allow_users", ("a", "b@192.0.2.0/24")),
    ],
)
def test_values(option: str, field: str, value: object) -> None:
    assert getattr(parse([option]), field) == value


def test_the_first_of_two_counts_but_lists_of_patterns_add_up() -> None:
    config = parse(["MaxSessions=1", "AcceptEnv=A", "MaxSessions=2", "AcceptEnv=B C"])
    assert parse(["DenyUsers=a", "DenyUsers=b"]).deny_users == ("a", "b")
    assert config.max_sessions == 1
    assert config.accept_env == ("A", "B", "C")


def test_one_method_of_authentication_is_left() -> None:
    words = [f"{method}Authentication=no" for method in ("Pubkey", "Password", "KbdInteractive")]
    assert not parse(words[1:]).password_authentication
    with pytest.raises(ConfigurationError, match="nobody could log in"):
        parse(words)


def test_limits_follow() -> None:
    limits = parse(["RekeyLimit=1M 1h", "MaxAuthTries=2", "MaxSessions=4"]).limits()
    assert (limits.rekey_bytes, limits.rekey_seconds) == (1 << 20, 3600.0)
    assert (limits.auth_attempts, limits.sessions) == (2, 4)


def test_keepalive_needs_an_interval_and_a_count() -> None:
    assert parse([]).keepalive == 300
    assert parse(["ClientAliveInterval=0"]).keepalive is None
    assert AS_SSHD.keepalive is None
    assert parse(["ClientAliveInterval=20"]).keepalive == 20
    assert parse(["ClientAliveInterval=20", "ClientAliveCountMax=0"]).keepalive is None


def test_algorithms_follow() -> None:
    chosen = parse(["Ciphers=+3des-cbc", "KexAlgorithms=curve25519-sha256"]).algorithms()
    assert chosen.ciphers[-1] == "3des-cbc"
    assert chosen.kex == ("curve25519-sha256",)
    assert "3des-cbc" not in ServerConfig().algorithms().ciphers
    assert "3des-cbc" in ServerConfig().algorithms("legacy").ciphers


@pytest.mark.parametrize("word", ["yes", "delayed"])
def test_no_compression_before_authentication(word: str) -> None:
    assert "zlib" not in parse([f"Compression={word}"]).algorithms().compression


@pytest.mark.parametrize(
    "option",
    [
        "MaxAuthTries=0",
        "Protocol=3",
        "Protocol=",
        "MaxAuthTries=many",
        "MaxStartups=10:30",
        "MaxStartups=10:101:100",
        "MaxStartups=200:30:100",
        "MaxStartups=",
        "LogLevel=loud",
        "Ciphers=rot13",
        "Compression=zlib",
        "AcceptEnv=",
        "RekeyLimit=1",
        "LoginGraceTime=soon",
    ],
)
def test_bad_values_are_named(option: str) -> None:
    with pytest.raises(ConfigurationError, match=option.partition("=")[0]):
        parse([option])


def test_an_unknown_word_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match="MaxAuthTris; did you mean MaxAuthTries"):
        parse(["MaxAuthTris=3"])


@given(st.sampled_from(KEYWORDS), st.text(max_size=40))
def test_any_value_is_taken_or_refused(keyword: str, value: str) -> None:
    with contextlib.suppress(ConfigurationError):
        config = parse([f"{keyword}={value}"])
        assert config.limits().sessions >= 0
        assert config.algorithms().kex
