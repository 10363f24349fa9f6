"""What is known of the user of a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nacre.config.server.config import ServerConfig
from nacre.config.server.files import load, parse
from nacre.config.server.rules import Connecting, ServerRules
from nacre.daemon.accounts.candidate import Candidates, plain_address
from nacre.errors import ConfigurationError, UnusableKey
from nacre.keys import generate
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import NO_OPTIONS, parse_options
from nacre.server.peer import NO_TERMS

KEY, OTHER = (generate("ssh-ed25519").public for _ in range(2))


class Connection:
    peer = ("::ffff:192.0.2.1", 40000)
    local = ("192.0.2.2", 22)
    host = "name.example"
    domain = "vrf1"
    terms = NO_TERMS


class Rules(ServerRules):
    """Alice has a configuration of her own."""

    def __init__(self, base: ServerConfig, own: ServerConfig) -> None:
        super().__init__(base)
        self.own = own
        self.asked: list[Connecting] = []

    def lookup(self, who: Connecting) -> ServerConfig:
        self.asked.append(who)
        return self.own if who.user == "alice" else self.base


def candidates(own: ServerConfig, base: ServerConfig | None = None) -> tuple[Candidates, Rules]:
    rules = Rules(base or ServerConfig(), own)
    return Candidates(rules), rules


def test_the_configuration_is_looked_up_once_for_a_name() -> None:
    known, rules = candidates(ServerConfig(max_auth_tries=2))
    connection: Any = Connection()
    found = known.begin("alice", connection, groups=lambda: ("users",))
    assert known.find("alice", connection) is found
    assert known.find("bob", connection) is None
    (who,) = rules.asked
    assert (who.user, who.invalid_user, who.groups()) == ("alice", False, ("users",))
    assert (who.address, who.local_address, who.local_port) == ("192.0.2.1", "192.0.2.2", 22)
    ghost = known.begin("ghost", connection, invalid=True)
    assert rules.asked[1].invalid_user
    assert known.find("alice", connection) is None
    assert (found.changed, ghost.changed) == (True, False)


def test_bounds_are_in_the_answer_where_they_differ() -> None:
    known, _ = candidates(ServerConfig(max_auth_tries=2, max_sessions=0))
    connection: Any = Connection()
    limits = known.begin("alice", connection).answer((), None).limits
    assert limits is not None
    assert (limits.auth_attempts, limits.sessions) == (2, 0)
    known, _ = candidates(parse(["RekeyLimit=1M", "RequiredRSASize=3072"]))
    limits = known.begin("alice", connection).answer((), None).limits
    assert limits is not None
    assert (limits.rekey_bytes, limits.user_rsa_bits) == (1 << 20, 3072)
    assert known.begin("bob", connection).answer((), None).limits is None


def test_banners(tmp_path: Path) -> None:
    file = tmp_path / "banner"
    file.write_text("hello\n")
    connection: Any = Connection()
    for base, own, text in (
        (None, file, "hello\n"),
        (file, None, ""),
        (file, file, None),
        (None, None, None),
    ):
        known, _ = candidates(ServerConfig(banner=own), ServerConfig(banner=base))
        assert known.banner_of(known.begin("alice", connection)) == text
        assert known.banner_of(known.begin("bob", connection)) is None
    known, _ = candidates(ServerConfig(banner=tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match=r"Banner: can't read .*missing: No such file"):
        known.banner_of(known.begin("alice", connection))


def test_keys_count_once_and_their_options_together() -> None:
    known, _ = candidates(ServerConfig())
    connection: Any = Connection()
    found = known.begin("alice", connection)
    found.take(KEY, found.joined(parse_options('command="only this",no-pty')))
    assert found.refuses_again(KEY) is None
    found.settle(("publickey",))
    assert found.refuses_again(KEY) is not None
    assert found.refuses_again(OTHER) is None
    with pytest.raises(UnusableKey, match="commands"):
        found.joined(parse_options('command="something else"'))
    found.take(OTHER, found.joined(parse_options("no-agent-forwarding")))
    found.settle(("publickey", "password", "publickey"))
    assert found.options.command == "only this"
    assert (found.options.pty, found.options.agent_forwarding) == (False, False)
    assert found.options.port_forwarding
    assert known.begin("alice", connection).options == NO_OPTIONS


def test_a_key_whose_attempt_has_failed_does_not_count() -> None:
    known, _ = candidates(ServerConfig())
    connection: Any = Connection()
    found = known.begin("alice", connection)
    found.take(KEY, parse_options('command="of a key that was not touched"'))
    found.settle(())
    assert (found.keys, found.options) == ([], NO_OPTIONS)
    found.take(OTHER, NO_OPTIONS)
    found.settle(("publickey",))
    assert found.evidence(("publickey",)) == f"publickey {OTHER}\n"


def test_a_certificate_counts_as_its_key() -> None:
    private = generate("ssh-ed25519")
    certificate = Certificate.issue(private.public, generate("ssh-ed25519"), principals=["alice"])
    known, _ = candidates(ServerConfig())
    connection: Any = Connection()
    found = known.begin("alice", connection)
    found.take(certificate, NO_OPTIONS)
    found.settle(("publickey",))
    assert found.refuses_again(private.public) is not None
    assert found.evidence(("publickey",)) == f"publickey {certificate}\n"


@pytest.mark.parametrize(
    ("asked", "options", "touch", "verify"),
    [
        ([], "", True, False),
        ([], "no-touch-required,verify-required", False, True),
        (["PubkeyAuthOptions touch-required"], "no-touch-required", True, False),
        (["PubkeyAuthOptions verify-required"], "no-touch-required", False, True),
    ],
)
def test_what_a_security_key_must_attest(
    asked: list[str], options: str, touch: bool, verify: bool
) -> None:
    known, _ = candidates(parse([one.replace(" ", "=") for one in asked]))
    connection: Any = Connection()
    found = known.begin("alice", connection)
    terms = found.terms(parse_options(options) if options else NO_OPTIONS)
    assert (terms.touch_required, terms.verify_required) == (touch, verify)


def test_evidence_has_a_line_for_each_method() -> None:
    known, _ = candidates(ServerConfig())
    connection: Any = Connection()
    found = known.begin("alice", connection)
    methods = ("publickey", "password", "publickey", "keyboard-interactive")
    found.take(KEY, NO_OPTIONS)
    found.settle(methods[:2])
    found.take(OTHER, NO_OPTIONS)
    found.settle(methods)
    lines = [f"publickey {KEY}", "password", f"publickey {OTHER}", "keyboard-interactive/pam"]
    assert found.evidence(methods).splitlines() == lines


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("/run/socket", "/run/socket"),
        ("", ""),
    ],
)
def test_addresses(address: str, plain: str) -> None:
    assert plain_address(address) == plain


def test_names_domains_and_terms_are_those_of_the_connection(tmp_path: Path) -> None:
    file = tmp_path / "sshd_config"
    file.write_text(
        "Match host *.example\n  ChannelTimeout session=5\nMatch rdomain vrf1\n  IPQoS ef\n"
        "Match user bob\n  RefuseConnection yes\n"
    )
    candidates = Candidates(load(file))
    connection: Any = Connection()
    candidates.begin("alice", connection)
    assert connection.terms.channel_timeouts == (("session", 5),)
    assert connection.terms.ip_qos == (0xB8, 0xB8)
    assert not connection.terms.refuse
    candidates.begin("bob", connection)
    assert connection.terms.refuse
    candidates.begin("alice", connection)
    assert not connection.terms.refuse


def test_the_algorithms_of_a_user(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_text(
        "PubkeyAcceptedAlgorithms ssh-ed25519\n"
        "Match User alice\nPubkeyAcceptedAlgorithms rsa-sha2-512\n"
        "Match User bob\nCASignatureAlgorithms ssh-ed25519\n"
    )
    rules = load(file)
    known = Candidates(rules)
    connection: Any = Connection()
    found = {}
    for name in ("alice", "bob", "carol"):
        answer = known.begin(name, connection).answer((), None)
        assert answer.ca_signatures is not None
        found[name] = answer.signatures, len(answer.ca_signatures) == 1
    assert found == {
        "alice": (("rsa-sha2-512",), False),
        "bob": (("ssh-ed25519",), True),
        "carol": (("ssh-ed25519",), False),
    }
    # What the server tells clients before it knows the user.
    assert rules.signatures("default") == ("ssh-ed25519", "rsa-sha2-512")
    same = Candidates(ServerRules(ServerConfig())).begin("alice", connection).answer((), None)
    assert (same.signatures, same.ca_signatures) == (None, None)
