"""How sshd_config files are read: blocks, inclusion, errors."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.config.server.config import ServerConfig
from nacre.config.server.files import load
from nacre.config.server.penalties import DEFAULT_PENALTIES
from nacre.config.server.rules import Connecting, ServerRules
from nacre.config.server.words import SCHEMA
from nacre.errors import ConfigurationError


def rules(text: str, folder: Path, *options: str) -> ServerRules:
    path = folder / "sshd_config"
    path.write_bytes(text.encode(errors="surrogateescape"))
    return load(path, options)


def sessions(text: str, folder: Path, who: Connecting) -> int:
    """Return MaxSessions for a connection: 1 if the block of ``text`` holds."""
    return rules(f"MaxSessions 0\n{text}\nMaxSessions 1\n", folder).lookup(who).max_sessions


BOB = Connecting(
    user="bob",
    groups=lambda: ("users", "wheel"),
    address="192.0.2.7",
    host=lambda: "a.Example",
    local_address="2001:db8::1",
    local_port=22,
    rdomain="blue",
)


@pytest.mark.parametrize(
    ("criteria", "holds"),
    [
        ("all", True),
        ("ALL", True),
        ("user bob", True),
        ("User=b*", True),
        ("user BOB", False),
        ("user !bob,*", False),
        ("user alice,bob", True),
        ("group wheel", True),
        ("group !wheel,*", False),
        ("group staff", False),
        ("host *.EXAMPLE", True),
        ("host b.*", False),
        ("address 192.0.2.0/24", True),
        ("address !192.0.2.7,192.0.2.0/24", False),
        ("address 192.0.2.*", True),
        ("address 2001:db8::/32", False),
        ("localaddress 2001:db8::/32", True),
        ("localport 22", True),
        ("localport 23", False),
        ("rdomain b*", True),
        ("version nacre_*", True),
        ("version OpenSSH*", False),
        ("invalid-user", False),
        ("user bob host *.example address 192.0.2.7", True),
        ("user bob host b", False),
    ],
)
def test_criteria(criteria: str, holds: bool, tmp_path: Path) -> None:
    assert sessions(f"Match {criteria}", tmp_path, BOB) == holds


def test_what_is_not_known_matches_nothing(tmp_path: Path) -> None:
    for criteria in ("user *", "group *", "host *", "address *", "localaddress *", "rdomain *"):
        assert sessions(f"Match {criteria}", tmp_path, Connecting()) == 0, criteria
    assert sessions("Match invalid-user", tmp_path, Connecting(user="x", invalid_user=True)) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Match", "Match: a criterion is missing"),
        ("Match user", "Match user: the value is missing"),
        ('Match user ""', "Match user: the value is empty"),
        ("Match usr bob", "unknown criterion usr"),
        ("Match !user bob", "!user is not possible"),
        ("Match all user bob", "all can't stand"),
        ("Match user bob all", "all can't stand"),
        ("Match localport x", "Match localport: bad value 'x'"),
        ("Match address 10.0.0.1/8", "'10.0.0.1/8' is no network"),
        ("Match address 10.0.0.0/8,", "has an empty part"),
        ("Match user bob\nPort 33", "Port can't stand in a Match block"),
        ("Match user bob\nUseLogin no", "UseLogin can't stand in a Match block"),
        ("Match user bob\nX11Forwarding maybe", "X11Forwarding: bad value 'maybe'"),
        ("Prot 22", "Bad configuration option: Prot; did you mean Port"),
        ("Host a", "Bad configuration option: Host"),
        ("Banner", "Banner: the value is missing"),
        ("Banner a b", "Banner: extra words"),
        ('Banner "a', "a quotation mark is not closed"),
        ("AuthenticationMethods hostbased", "each list has a method that is switched off"),
        ("AuthorizedKeysCommand /a", "give AuthorizedKeysCommandUser too"),
    ],
)
def test_errors_name_file_and_line(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rules(f"# a comment\n{line}\n", tmp_path)
    number = 1 + len(line.split("\n"))
    assert str(caught.value).startswith(f"{tmp_path}/sshd_config line {number}: ")
    assert message in str(caught.value)


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rules("Prt 1\nUseDNS x\nMatch user a\nPort 3\n", tmp_path)
    assert [line.partition(": ")[0][-6:] for line in str(caught.value).split("\n")] == [
        "line 1",
        "line 2",
        "line 4",
    ]


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Can't open the configuration file"):
        load(tmp_path / "none-such")


def test_the_first_value_counts_and_some_add_up(tmp_path: Path) -> None:
    config = rules(
        "MaxSessions 3\nMaxSessions 4\nAcceptEnv A\nAcceptEnv B C\nPort 23\nPort 24\n"
        "Subsystem a /a\nSubsystem b /b\nSubsystem a /c\nSetEnv A=1\nSetEnv B=2\n"
        "RekeyLimit default 1h\nRekeyLimit 1G 2h\n",
        tmp_path,
        "MaxSessions=2",
        "AcceptEnv=O",
    ).base
    assert config.max_sessions == 2
    assert config.accept_env == ("O", "A", "B", "C")
    assert config.ports == (23, 24)
    assert config.subsystems == (("a", "/a"), ("b", "/b"))
    assert config.set_env == (("A", "1"),)
    assert (config.rekey_limit.size, config.rekey_limit.seconds) == (None, 3600)


def test_penalties_of_several_lines_are_one(tmp_path: Path) -> None:
    text = "PerSourcePenalties authfail:7s\nPerSourcePenalties crash:1 authfail:9\n"
    found = rules(text, tmp_path).base.per_source_penalties
    assert found is not None
    assert (found.authfail, found.crash) == (7, 1)
    assert rules("PerSourcePenalties NO\n", tmp_path).base.per_source_penalties is None
    yes = rules("PerSourcePenalties yes\n", tmp_path).base.per_source_penalties
    assert yes == DEFAULT_PENALTIES


def test_included_files(tmp_path: Path) -> None:
    (tmp_path / "20.conf").write_text("MaxSessions 2\nMaxAuthTries 2\n")
    (tmp_path / "10.conf").write_text("MaxSessions 1\nMatch user bob\nPermitTTY no\n")
    found = rules(f"Include {tmp_path}/*.conf {tmp_path}/none\nStrictModes no\n", tmp_path)
    assert (found.base.max_sessions, found.base.max_auth_tries) == (1, 2)
    assert not found.base.strict_modes  # the block ends with its file
    assert found.base.permit_tty
    assert not found.lookup(BOB).permit_tty


def test_a_block_in_an_included_file_needs_the_block_around_it_too(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("MaxSessions 5\nMatch group wheel\nMaxAuthTries 1\n")
    found = rules(f"Match user bob\nInclude {tmp_path}/part\nPermitTTY no\n", tmp_path)
    config = found.lookup(BOB)
    assert (config.max_sessions, config.max_auth_tries, config.permit_tty) == (5, 1, False)
    alice = Connecting(user="alice", groups=lambda: ("wheel",))
    assert found.lookup(alice) is found.base
    (tmp_path / "part").write_text("Port 5\n")
    with pytest.raises(ConfigurationError, match=r"part line 1: Port can't stand"):
        rules(f"Match user bob\nInclude {tmp_path}/part\n", tmp_path)


def test_a_key_that_is_included_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    with pytest.raises(ConfigurationError) as caught:
        rules(f"Include {tmp_path}/key\n", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/sshd_config line 1: {tmp_path}/key line 1: this is a key, and no configuration"
    )


def test_former_keywords_are_passed_over(tmp_path: Path) -> None:
    text = "UseLogin a b\nProtocol 2\nMatch user bob\nRSAAuthentication no\n"
    assert rules(text, tmp_path).lookup(BOB) == ServerConfig()


def test_inclusion_ends(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"line 1: .* includes itself"):
        rules(f"Include {tmp_path}/sshd_config\n", tmp_path)


def test_match_all_is_outside_too(tmp_path: Path) -> None:
    found = rules("PermitRootLogin no\nMatch all\nPort 33\nPermitRootLogin yes\n", tmp_path)
    assert found.base.ports == (33,)
    assert found.base.permit_root_login == "no"
    assert found.lookup(Connecting()).permit_root_login == "yes"


_LINES = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.tuples(
            st.sampled_from([word.name for word in SCHEMA.words if word.name != "Include"]),
            st.sampled_from(["", "=", " = "]),
            st.one_of(
                st.text(max_size=20),
                st.sampled_from(
                    ["yes", "none", "a b", "10.0.0.0/8", "user a", "all", "1:2:3", "a=1", '"', "%h"]
                ),
            ),
        ).map(lambda parts: f"{parts[0]} {parts[1]}{parts[2]}"),
    ),
    max_size=8,
)


@given(_LINES)
def test_any_file_is_read_or_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        found = rules("\n".join(lines), folder)
    except ConfigurationError as error:
        for line in str(error).split("\n"):
            assert line.startswith(f"{folder}/sshd_config line ") or "NUL" in line, line
    else:
        assert found.lookup(BOB).max_sessions >= 0


def test_values_that_gather_have_a_bound(tmp_path: Path) -> None:
    lines = [f"Port {number}\n" for number in range(1, 258)]
    assert len(rules("".join(lines[:256]), tmp_path).base.ports) == 256
    with pytest.raises(ConfigurationError, match="line 257: Port: more than 256 values"):
        rules("".join(lines), tmp_path)
