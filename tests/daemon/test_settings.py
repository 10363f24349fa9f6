"""From the words of ``nacre serve -o`` to the settings of its servers."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nacre
from gss.fake_library import GSSError, fake_library
from nacre.config.server.files import load
from nacre.config.values import LogLevel
from nacre.daemon.hostkeys import FILES, load_host_keys
from nacre.daemon.log.place import LogPlace
from nacre.daemon.log.server_log import StandardError
from nacre.daemon.names import name_of
from nacre.daemon.settings import DaemonSettings
from nacre.errors import ConfigurationError, StateError
from nacre.protocol.options import Profile
from nacre.server.admission.startups import Startups
from nacre.server.peer import NO_TERMS


async def handler(session: nacre.Session) -> None:
    """Serve nothing."""


def settings(state: Path, *words: str, profile: Profile = "default") -> DaemonSettings:
    # No test here needs the default types, of which RSA takes long to make.
    load_host_keys(state, ["ssh-ed25519"])
    return DaemonSettings(
        rules=load(None, ("HostKeyAlgorithms=ssh-ed25519", *words)), profile=profile, state=state
    )


def test_every_word_reaches_the_server(tmp_path: Path) -> None:
    (tmp_path / "banner").write_bytes(b"Beware\xff\n")
    made = settings(
        tmp_path,
        *("LoginGraceTime=7", "MaxStartups=3:40:9", "ClientAliveInterval=11"),
        *("ClientAliveCountMax=2", "AcceptEnv=LANG LC_*", "MaxSessions=4", "MaxAuthTries=5"),
        *("Ciphers=aes128-ctr", f"Banner={tmp_path / 'banner'}"),
    )
    startups, policy = Startups(), nacre.Policy()
    server = made.server(policy, handler, startups)
    assert (server.policy, server.handler, server.startups) == (policy, handler, startups)
    assert (server.login_grace, server.max_startups) == (7, "3:40:9")
    assert (server.keepalive, server.keepalive_count) == (11, 2)
    assert tuple(server.accept_env) == ("LANG", "LC_*")
    assert (server.limits.sessions, server.limits.auth_attempts) == (4, 5)
    assert server.algorithms.ciphers == ("aes128-ctr",)
    assert server.banner == "Beware\ufffd\n"
    assert [key.public.type for key in server.host_keys] == ["ssh-ed25519"]
    assert tuple(server.protocols) == (2,)


def test_host_keys_of_configured_algorithms_are_made(tmp_path: Path) -> None:
    made = settings(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {FILES["ssh-ed25519"]}
    other = DaemonSettings(
        rules=load(None, ("HostKeyAlgorithms=ecdsa-sha2-nistp384",)),
        profile="default",
        state=tmp_path,
    )
    types = [key.public.type for key in other.host_keys()]
    assert types == ["ssh-ed25519", "ecdsa-sha2-nistp384"]
    assert len(made.host_keys()) == 2  # a key that exists is used


@pytest.mark.parametrize(("word", "speaks"), [("Protocol=2", False), ("Protocol=2,1", True)])
def test_ssh_1_is_spoken_where_it_is_configured(tmp_path: Path, word: str, speaks: bool) -> None:
    assert settings(tmp_path, word).speaks_ssh1 is speaks


def test_des_is_offered_to_ssh_1_by_the_legacy_profile_alone(tmp_path: Path) -> None:
    offered = [
        settings(tmp_path, profile=profile).server(nacre.Policy(), handler, Startups()).ssh1_ciphers
        for profile in ("default", "legacy")
    ]
    assert [("des" in ciphers) for ciphers in offered] == [False, True]


def test_a_banner_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConfigurationError, match=f"Banner: can't read {missing}: No such file"):
        settings(tmp_path, f"Banner={missing}").banner()
    assert settings(tmp_path).banner() == ""


def test_what_is_said_of_connections_reaches_the_server(tmp_path: Path) -> None:
    made = settings(
        tmp_path,
        *("VersionAddendum=here", "PerSourceMaxStartups=3", "PerSourceNetBlockSize=24:64"),
        *("PerSourcePenalties=authfail:7", "PerSourcePenaltyExemptList=10.0.0.0/8"),
        *("UseDNS=yes", "IPQoS=ef none", "ChannelTimeout=session=5", "UnusedConnectionTimeout=9"),
        *("RefuseConnection=yes", "HostKeyAgent=/run/agent"),
    )
    terms = made.server(nacre.Policy(), handler, Startups()).terms
    assert (terms.version_addendum, terms.per_source_startups) == ("here", 3)
    assert (terms.net_block_size, terms.exempt) == ((24, 64), ("10.0.0.0/8",))
    assert terms.penalties is not None
    assert terms.penalties.authfail == 7
    assert terms.resolve is name_of
    assert terms.ip_qos == (0xB8, None)
    assert (terms.channel_timeouts, terms.unused_timeout) == ((("session", 5),), 9)
    assert terms.refuse
    assert terms.sign_host is not None


def test_without_words_there_is_nothing_to_say_of_connections(tmp_path: Path) -> None:
    terms = settings(tmp_path, "IPQoS=none").server(nacre.Policy(), handler, Startups()).terms
    assert terms == NO_TERMS


@pytest.mark.parametrize("has_state", [True, False])
def test_a_daemon_in_the_place_of_sshd_goes_on_without_a_banner(
    tmp_path: Path, has_state: bool
) -> None:
    problems: list[str] = []
    rules = load(None, (f"Banner={tmp_path / 'missing'}",))
    state = tmp_path if has_state else None
    made = DaemonSettings(rules=rules, profile="default", state=state, as_sshd=True)
    assert made.banner(problems.append) == ""
    assert "Banner: can't read" in problems[0]
    # It makes no host keys in its state directory: they are those of the system, if it has some.
    with suppress(StateError):
        made.host_keys()
    assert list(tmp_path.iterdir()) == []


def test_where_the_log_goes() -> None:
    rules = load(None, ("SyslogFacility=LOCAL3",))
    made = DaemonSettings(rules=rules, profile="default", state=None, log=LogPlace(where="syslog"))
    line = made.destination.line(LogLevel.INFO, {"event": "x"})
    assert line.startswith("<158>")
    here = DaemonSettings(rules=rules, profile="default", state=None)
    assert isinstance(here.destination, StandardError)


def test_the_configuration_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("MaxSessions 3\n")
    made = DaemonSettings(
        rules=load(file), read=lambda: load(file), profile="default", state=tmp_path
    )
    file.write_text("MaxSessions 4\n")
    assert (made.config.max_sessions, made.again().config.max_sessions) == (3, 4)
    fixed = DaemonSettings(rules=load(file), profile="default", state=tmp_path)
    assert fixed.again() is fixed


@pytest.mark.parametrize("error", [None, GSSError(1, 7, "No key table entry")])
def test_keys_are_exchanged_by_gssapi_where_the_host_has_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: GSSError | None
) -> None:
    library: Any = fake_library()
    library.Credentials.error = error
    monkeypatch.setitem(sys.modules, "gssapi", library)
    made = settings(tmp_path, "GSSAPIKeyExchange=yes", "GSSAPIKexAlgorithms=gss-nistp256-sha256-")
    problems: list[str] = []
    server = made.server(nacre.Policy(), handler, Startups(), problems.append)
    offered = () if error else ("gss-nistp256-sha256-toWM5Slw5Ew8Mqkay+al2g==",)
    assert server.options.gss_kex == offered
    assert problems == (["GSSAPIKeyExchange: No key table entry"] if error else [])
