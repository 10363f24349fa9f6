"""Who may log in by the words of sshd_config."""

from __future__ import annotations

import grp
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.conftest import by_default
from nacre.config.server.config import ServerConfig
from nacre.config.server.files import parse
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import Account
from nacre.daemon.accounts.admission import Admission, check_for_store
from nacre.daemon.accounts.virtual.requirements import REQUIREMENTS
from nacre.errors import ConfigurationError
from nacre.keys.key_options import NO_OPTIONS

TTY = grp.getgrnam("tty").gr_gid
BOB = Account(name="bob", uid=6001, gid=6001, groups=(6001, TTY), home="/", shell="/bin/sh")
TOOR = replace(BOB, name="toor", uid=0)
HERE, FAR = "192.0.2.7", "198.51.100.1"


def admission(*options: str) -> Admission:
    return Admission(parse(options))


@pytest.mark.parametrize(
    ("options", "address", "allowed"),
    [
        ([], HERE, True),
        (["AllowUsers=bob"], HERE, True),
        (["AllowUsers=alice", "AllowUsers=b?b"], HERE, True),
        (["AllowUsers=alice"], HERE, False),
        (["AllowUsers=BOB"], HERE, False),
        (["AllowUsers=bob@192.0.2.0/24"], HERE, True),
        (["AllowUsers=bob@192.0.2.0/24"], FAR, False),
        (["AllowUsers=*@192.0.2.*"], f"::ffff:{HERE}", True),
        (["DenyUsers=bob"], HERE, False),
        (["DenyUsers=bob@198.51.100.1"], HERE, True),
        (["DenyUsers=bob@198.51.100.1"], FAR, False),
        (["DenyUsers=*", "AllowUsers=bob"], HERE, False),
        (["AllowGroups=tty"], HERE, True),
        (["AllowGroups=wheel sudo"], HERE, False),
        (["DenyGroups=t?y"], HERE, False),
        (["AllowUsers=bob", "DenyGroups=tty"], HERE, False),
        (["AllowUsers=alice", "AllowGroups=tty"], HERE, False),
    ],
)
def test_users_and_groups(options: list[str], address: str, allowed: bool) -> None:
    refusal = admission(*options).refuses_account(BOB, address, "publickey")
    assert (refusal is None) is allowed, refusal


@pytest.mark.parametrize(
    ("option", "host", "allowed"),
    [
        ("AllowUsers=bob@*.example", "host.example", True),
        ("AllowUsers=bob@*.example", "host.example.org", False),
        ("AllowUsers=bob@*.example", None, False),
        ("DenyUsers=bob@host.example", "host.example", False),
        ("DenyUsers=bob@host.example", None, True),
    ],
)
def test_names_of_hosts_count_if_they_are_looked_up(
    option: str, host: str | None, allowed: bool
) -> None:
    refusal = admission(option).refuses_account(BOB, HERE, "publickey", host)
    assert (refusal is None) is allowed


@pytest.mark.parametrize(
    ("word", "by_key", "by_forced_key", "by_password"),
    [
        ("yes", True, True, True),
        ("prohibit-password", True, True, False),
        ("without-password", True, True, False),
        ("forced-commands-only", False, True, False),
        ("no", False, False, False),
    ],
)
def test_root_is_every_account_with_uid_0(
    word: str, by_key: bool, by_forced_key: bool, by_password: bool
) -> None:
    rules = admission(f"PermitRootLogin={word}")

    def key(command: str | None) -> bool:
        options = replace(NO_OPTIONS, command=command)
        account = rules.refuses_account(TOOR, HERE, "publickey")
        return account is None and rules.refuses_key(TOOR, options) is None

    assert key(None) is by_key
    assert key("only this") is by_forced_key
    assert (rules.refuses_account(TOOR, HERE, "password") is None) is by_password
    assert rules.refuses_account(BOB, HERE, "password") is None
    assert rules.refuses_key(BOB, NO_OPTIONS) is None


def test_roots_password_is_refused_by_default() -> None:
    assert Admission(ServerConfig()).refuses_account(TOOR, HERE, "password") is not None


def test_an_account_needs_a_shell_that_can_be_executed(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch(mode=0o644)
    rules = Admission(ServerConfig())
    for shell in ("/no/such/shell", str(plain), str(tmp_path)):
        refusal = rules.refuses_account(replace(BOB, shell=shell), HERE, "publickey")
        assert refusal is not None
        assert shell in refusal
    plain.chmod(0o755)
    assert rules.refuses_account(replace(BOB, shell=str(plain)), HERE, "publickey") is None


@pytest.mark.parametrize("auth", REQUIREMENTS)
@pytest.mark.parametrize("off", ["Password", "KbdInteractive", "Pubkey"])
def test_what_is_switched_off_is_neither_offered_nor_enough(auth: str, off: str) -> None:
    name = {"Password": "password", "Pubkey": "publickey"}.get(off, "keyboard-interactive")
    rules = admission(f"{off}Authentication=no")
    offered = rules.requirement(REQUIREMENTS[auth])
    assert offered
    assert all(methods and name not in methods for methods in offered)
    possible = any(name not in methods for methods in REQUIREMENTS[auth])
    assert (rules.closed(REQUIREMENTS[auth]) is None) is possible


@pytest.mark.parametrize(
    "option",
    [
        *("AllowGroups=a", "DenyGroups=a", "PermitRootLogin=no", "AuthorizedKeysFile=/keys"),
        *("PermitEmptyPasswords=yes", "ChrootDirectory=/srv", "PermitUserEnvironment=A"),
    ],
)
def test_what_can_not_hold_for_the_store_is_an_error(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{option.partition('=')[0]} .*--users system"):
        check_for_store(ServerRules(parse([option])))
    check_for_store(ServerRules(parse(["AllowUsers=a", "DenyUsers=b", "PermitUserEnvironment=no"])))


def test_a_group_without_a_name_is_its_number() -> None:
    assert admission("AllowGroups=6001").refuses_account(BOB, HERE, "publickey") is None


# --- AuthenticationMethods ---

P, K, I = "password", "publickey", "keyboard-interactive"  # noqa: E741


@pytest.mark.parametrize(
    ("options", "required"),
    [
        ([f"AuthenticationMethods={K},{P}"], {(K, P)}),
        ([f"AuthenticationMethods={K},{P} {K},{I}:pam"], {(K, P), (K, I)}),
        ([f"AuthenticationMethods={K},{K}"], {(K, K)}),
        (["AuthenticationMethods=any"], {frozenset({m}) for m in (P, K, I)}),
        ([f"AuthenticationMethods={K},{P} {I}", "PasswordAuthentication=no"], {(I,)}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_methods_are_required_in_their_order(options: list[str], required: set[object]) -> None:
    rules = admission(*options)
    assert rules.closed() is None
    assert set(rules.requirement()) == required


@pytest.mark.parametrize("methods", [f"{K},{I}:skey", f"{I}:bsdauth"], ids=["second", "first"])
def test_a_device_that_is_not_here_lets_nobody_in(methods: str) -> None:
    rules = admission(f"AuthenticationMethods={methods}")
    assert rules.closed() is not None
    assert set(rules.requirement()) == set(by_default("any"))


def test_a_users_own_methods_are_required_too() -> None:
    rules = admission(f"AuthenticationMethods={K}")
    both = rules.requirement(REQUIREMENTS["password-publickey"])
    assert both == ((K, P), (K, I))
    assert rules.requirement(REQUIREMENTS["publickey"]) == ((K,),)


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ([], False),
        (["PermitEmptyPasswords=yes"], True),
        (["PermitEmptyPasswords=yes", "PasswordAuthentication=no"], False),
        (["PermitEmptyPasswords=yes", f"AuthenticationMethods={P}"], False),
    ],
)
def test_an_empty_password_needs_no_method(options: list[str], taken: bool) -> None:
    assert admission(*options).takes_empty is taken
