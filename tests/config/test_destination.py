from __future__ import annotations

import pytest

from nacre.config.destination import (
    MAX_HOPS,
    Destination,
    check_host,
    check_user,
    parse,
    parse_jumps,
)
from nacre.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bastion", Destination("bastion")),
        ("alice@bastion", Destination("bastion", "alice")),
        ("alice@bastion:2222", Destination("bastion", "alice", 2222)),
        ("bastion:2222", Destination("bastion", None, 2222)),
        ("[::1]", Destination("::1")),
        ("a@[fe80::1%eth0]:22", Destination("fe80::1%eth0", "a", 22)),
        ("DOMAIN\\alice@bastion", Destination("bastion", "DOMAIN\\alice")),
        ("alice@example.org@bastion", Destination("bastion", "alice@example.org")),
        ("ssh://bastion", Destination("bastion")),
        ("SSH://al%69ce;fingerprint=x@bastion:2222/", Destination("bastion", "alice", 2222)),
        ("ssh://[::1]:2222", Destination("::1", None, 2222)),
    ],
)
def test_forms(text: str, found: Destination) -> None:
    assert parse("-J", text) == found


@pytest.mark.parametrize(
    "text",
    [
        *("@h", "h:", "h:0", "h:65536", "h:x", "[::1", "[::1]2222", "::1", "h/path"),
        *("ssh://h/path", "-oProxyCommand=x", "a@-h", "-a@h", "h;x", "$(x)@h", "h`x`"),
        "ssh://a%60x@h",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse("-J", text)


@pytest.mark.parametrize("text", ["", "h o", "a@h o"])
def test_a_destination_is_one_word(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse("-J", text)


@pytest.mark.parametrize("character", [*"'`\"$\\;&<>|(){}", " ", "\t", "\n", "\0", "\x1b", "\x7f"])
def test_no_host_has_a_character_that_shells_act_on(character: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be the name of a host"):
        check_host(f"ho{character}st")


@pytest.mark.parametrize("host", ["", "-v"])
def test_no_host_is_empty_or_an_option(host: str) -> None:
    with pytest.raises(ConfigurationError):
        check_host(host)


@pytest.mark.parametrize("host", ["example.org", "::1", "fe80::1%eth0", "my_host", "bücher.de"])
def test_hosts(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize("user", ["alice", "a-b", "DOMAIN\\alice", "al ice", "alice$", "müller"])
def test_users(user: str) -> None:
    assert check_user(user) == user


@pytest.mark.parametrize(
    "user",
    ["", "-l", "a -b", "a\\", "a;b", "a`b", "a'b", 'a"b', "a|b", "a>b", "a(b", "a\nb", "a\x1b"],
)
def test_no_user_is_an_option_or_has_what_shells_act_on(user: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be the name of a user"):
        check_user(user)


def test_jumps_are_in_the_order_of_the_way() -> None:
    assert parse_jumps("-J", "a@one, two:2222,[::1]") == (
        Destination("one", "a"),
        Destination("two", None, 2222),
        Destination("::1"),
    )
    with pytest.raises(ConfigurationError, match="bad value ''"):
        parse_jumps("-J", "one,,two")


def test_the_number_of_jumps_is_bounded() -> None:
    assert len(parse_jumps("-J", ",".join(["h"] * MAX_HOPS))) == MAX_HOPS
    with pytest.raises(ConfigurationError, match="17 jump hosts: give at most 16"):
        parse_jumps("-J", ",".join(["h"] * 17))
