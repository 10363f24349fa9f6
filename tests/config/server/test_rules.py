"""What Match blocks change for a connection, and what a server must not start with."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from nacre.config.server.config import ServerConfig
from nacre.config.server.files import load
from nacre.config.server.rules import Connecting, ServerRules
from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError

TEXT = """\
MaxSessions 3
AcceptEnv Z
RekeyLimit 1G 1h
Match user bob
    MaxSessions 4
    AcceptEnv A
    RekeyLimit 2G
Match address 192.0.2.0/24
    MaxSessions 5
    AcceptEnv B
    Banner none
"""


@pytest.fixture
def found(tmp_path: Path) -> ServerRules:
    (tmp_path / "c").write_text(TEXT)
    return load(tmp_path / "c", ("Banner=/o",))


def test_without_match_blocks_one_configuration_holds_for_all() -> None:
    base = ServerConfig(max_sessions=3)
    assert ServerRules(base).lookup(Connecting(user="a", address="192.0.2.1")) is base


def test_a_block_wins_over_what_is_outside_and_over_the_command_line(found: ServerRules) -> None:
    assert found.base.banner == Path("/o")
    config = found.lookup(Connecting(address="192.0.2.1"))
    assert (config.max_sessions, config.accept_env, config.banner) == (5, ("B",), None)


def test_the_first_block_wins_and_lists_add_up_among_blocks(found: ServerRules) -> None:
    config = found.lookup(Connecting(user="bob", address="192.0.2.1"))
    assert (config.max_sessions, config.accept_env) == (4, ("A", "B"))
    assert (config.rekey_limit.size, config.rekey_limit.seconds) == (2 << 30, 3600)
    origin = config.settings["MaxSessions"][0].origin
    assert origin.line == 5


def test_a_configuration_is_made_once_for_the_blocks_that_hold(found: ServerRules) -> None:
    first = found.lookup(Connecting(user="bob", address="198.51.100.1"))
    assert found.lookup(Connecting(user="bob", address="198.51.100.2")) is first
    assert found.lookup(Connecting(user="eve", address="198.51.100.2")) is found.base


def test_a_criterion_behind_one_that_fails_asks_nothing(tmp_path: Path) -> None:
    asked: list[str] = []

    def groups() -> tuple[str, ...]:
        asked.append("groups")
        return ("g",)

    (tmp_path / "c").write_text("Match user bob group g\nMaxSessions 1\n")
    rules = load(tmp_path / "c")
    rules.lookup(Connecting(user="eve", groups=groups))
    assert not asked
    assert rules.lookup(Connecting(user="bob", groups=groups)).max_sessions == 1
    assert rules.criteria == {"user", "group"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["KerberosOrLocalPasswd no"], "line 1: KerberosOrLocalPasswd: "),
        (["Match user a", "PubkeyAcceptedAlgorithms ssh-xmss-cert-v01@openssh.com"], "line 2: Pub"),
        (["Ciphers -*"], "line 1: Ciphers: the list of cipher algorithms is empty"),
        (["MACs umac-64@openssh.com"], "line 1: MACs: nacre has none of the MAC algorithms"),
        (["AllowUsers a", "AllowUsers !b"], "line 2: AllowUsers: bad value '!b'"),
        (["MaxAuthTries 0"], "line 1: MaxAuthTries: bad value 0: nobody could log in"),
        (
            [f"{name}Authentication no" for name in ("Pubkey", "Password", "KbdInteractive")],
            "line 1: PubkeyAuthentication, PasswordAuthentication, KbdInteractiveAuthentication "
            "and HostbasedAuthentication",
        ),
    ],
)
def test_what_no_server_starts_with(lines: Sequence[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "c").write_text("\n".join(lines))
    rules = load(tmp_path / "c")
    with pytest.raises(ConfigurationError) as caught:
        rules.check()
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/c line ")


@pytest.mark.parametrize(
    "text",
    [
        *("RevokedKeys none", "PubkeyAuthOptions none", "KerberosOrLocalPasswd yes"),
        "PubkeyAuthentication no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "Match user a\nPubkeyAuthentication yes",
    ],
)
def test_what_asks_for_nothing_that_is_missing(text: str, tmp_path: Path) -> None:
    (tmp_path / "c").write_text(text)
    load(tmp_path / "c").check()


def test_what_has_no_effect_is_told(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(
        "LogVerbose x\nKerberosAuthentication no\nModuliFile /m\nMatch user a\nLogVerbose y\n"
    )
    (idle,) = load(tmp_path / "c").described()
    assert idle[0] is LogLevel.VERBOSE
    assert idle[1].count("LogVerbose: ") == 2
    assert f"{tmp_path}/c line 5" in idle[1]
    assert "Kerberos" not in idle[1]
    assert "ModuliFile" in idle[1]


def test_of_some_keywords_the_last_value_counts(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("MaxStartups 5\nMaxStartups 6\nIPQoS ef\nMatch user a\nIPQoS af11\nIPQoS cs1\n")
    rules = load(path)
    assert rules.base.max_startups == "6"
    settings = rules.lookup(Connecting(user="a")).settings["IPQoS"]
    assert [str(setting.origin).rpartition(" ")[2] for setting in settings] == ["6"]
