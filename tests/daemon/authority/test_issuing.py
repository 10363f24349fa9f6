"""What a user who has logged in gets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.authority.files import AuthorityFiles
from nacre.daemon.authority.issuing import (
    MOST_WITHIN_AN_HOUR,
    certify_login,
    read_options,
    read_principals,
)
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredKey, StoredUser
from nacre.errors import AccountError, ConfigurationError, NacreError, StateError, UnusableKey
from nacre.keys import PublicKey, generate
from nacre.keys.certificate import USER_EXTENSIONS, Certificate, option

KEY, OTHER = generate("ssh-ed25519").public, generate("ssh-ed25519").public
CA = generate("ssh-ed25519")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    with closing(UserStore(tmp_path / FILE)) as made:
        AuthorityFiles(tmp_path).make()
        made.add(StoredUser(name="alice", certificate_valid=600))
        yield made


def certify(
    store: UserStore,
    *shown: PublicKey,
    key: PublicKey | None = None,
    methods: Sequence[str] = ("publickey",),
) -> Certificate:
    return certify_login(store, store.user("alice"), key, shown, methods, rsa_bits=2048)


def with_key(store: UserStore, options: str, key: PublicKey = KEY) -> None:
    store.add_keys("alice", [StoredKey(key, "", 0, options)])


def test_it_is_for_the_key_of_the_login_or_another_one(store: UserStore) -> None:
    with_key(store, "")
    before = int(time.time())
    made = certify(store, KEY)
    assert (made.key, made.principals, made.key_id, made.serial) == (KEY, ("alice",), "alice", 1)
    assert before + 600 <= made.valid_before <= time.time() + 600
    assert before - 60 <= made.valid_after <= time.time() - 60
    assert tuple(made.extensions) == tuple(sorted(USER_EXTENSIONS))
    assert made.authority == AuthorityFiles(store.directory).public("user")
    assert certify(store, KEY, key=OTHER).key == OTHER
    assert certify(store, key=OTHER, methods=["password"]).key == OTHER
    with pytest.raises(AccountError, match="give a public key on standard input"):
        certify(store, methods=["password"])


def test_it_ends_with_the_user(store: UserStore) -> None:
    expires = int(time.time()) + 100
    store.change("alice", expires=expires)
    assert certify(store, KEY).valid_before == expires
    store.change("alice", expires=1)
    with pytest.raises(AccountError, match="has expired"):
        certify(store, KEY)


def test_it_says_what_the_settings_say(store: UserStore) -> None:
    options = "clear\npermit-pty\nforce-command=date -u"
    store.change("alice", certificate_principals="%u,web", certificate_options=options)
    made = certify(store, KEY)
    assert made.principals == ("alice", "web")
    assert list(made.extensions) == ["permit-pty"]
    assert made.critical_options == {"force-command": option("date -u")}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('from="192.0.2.0/24"', "from="),
        ('command="date"', "command="),
        ('expiry-time="20990101"', "expiry-time="),
        ('permitopen="host:22",tunnel="1"', "permitopen=, tunnel="),
        ('environment="A=1"', "environment="),
    ],
)
def test_a_login_with_a_condition_gets_none(store: UserStore, options: str, reason: str) -> None:
    with_key(store, options)
    with pytest.raises(AccountError, match=f"bound by {reason}"):
        certify(store, KEY)
    # Also where another key has none.
    with_key(store, "", OTHER)
    with pytest.raises(AccountError, match=f"bound by {reason}"):
        certify(store, KEY, OTHER)


def test_what_the_login_does_not_permit_the_certificate_does_not(store: UserStore) -> None:
    with_key(store, "restrict,pty,verify-required")
    made = certify(store, KEY, key=OTHER)
    assert list(made.extensions) == ["permit-pty"]
    assert list(made.critical_options) == ["verify-required"]


def test_a_certificate_alone_is_not_renewed(store: UserStore) -> None:
    shown = Certificate.issue(KEY, CA, principals=["alice"])
    with pytest.raises(AccountError, match="by a certificate alone"):
        certify(store, shown)
    with_key(store, 'cert-authority,principals="alice"', CA.public)
    with pytest.raises(AccountError, match="by a certificate alone"):
        certify(store, shown)
    assert certify(store, shown, methods=["publickey", "password"]).key == KEY
    with_key(store, "no-pty")
    assert "permit-pty" not in certify(store, shown).extensions


@pytest.mark.parametrize("name", ["source-address", "force-command"])
def test_a_bound_certificate_gets_no_other(store: UserStore, name: str) -> None:
    with_key(store, "")
    data = {"source-address": "192.0.2.0/24", "force-command": "date"}[name]
    critical = {name: option(data)}
    shown = Certificate.issue(KEY, CA, principals=["alice"], critical_options=critical)
    with pytest.raises(AccountError, match="bound by"):
        certify(store, shown)


def test_keys_that_are_not_certified(store: UserStore) -> None:
    short = generate("ssh-rsa", bits=1024).public
    with pytest.raises(UnusableKey, match="at least 2048 bits"):
        certify(store, KEY, key=short)
    with pytest.raises(UnusableKey, match="can't be certified"):
        certify(store, KEY, key=generate("rsa1").public)
    assert store.certificates.all() == []
    AuthorityFiles(store.directory).revoked.write_text(f"{OTHER}\n")
    with pytest.raises(AccountError, match="revoked"):
        certify(store, KEY, key=OTHER)


def test_a_user_gets_a_bounded_number(store: UserStore) -> None:
    for _ in range(MOST_WITHIN_AN_HOUR):
        certify(store, KEY)
    with pytest.raises(StateError, match="within an hour"):
        certify(store, KEY)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"certificate_valid": None}, "no certificates are issued to alice"),
        ({"certificate_valid": 0}, "no certificates are issued to alice"),
        ({"certificate_principals": "%x"}, "%x"),
        ({"certificate_options": "permit-everything"}, "Unsupported"),
    ],
)
def test_settings_that_give_none(store: UserStore, values: dict[str, Any], reason: str) -> None:
    store.change("alice", **values)
    with pytest.raises(NacreError, match=reason):
        certify(store, KEY)
    assert store.certificates.all() == []


def test_principals_and_options_are_checked() -> None:
    assert read_principals("%u,web,%u", "alice") == ("alice", "web")
    for text in ("", "a,", "a b", "%h", "a\tb", ",".join(map(str, range(300)))):
        with pytest.raises(ConfigurationError):
            read_principals(text, "alice")
    with pytest.raises(ConfigurationError):
        read_options(["no-such"])
