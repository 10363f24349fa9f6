"""``nacre ca`` for the operator."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.ca.command import command
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser
from nacre.keys import Certificate, generate, load_public
from nacre.keys.signed.revocation import parse

KEY = generate("ssh-ed25519").public

Nacre = Callable[..., Result]


@pytest.fixture
def ca(tmp_path: Path) -> Nacre:
    def call(*words: str) -> Result:
        return CliRunner().invoke(command, [*words, "--state", str(tmp_path / "state")])

    (tmp_path / "id.pub").write_text(f"{KEY} mine\n")
    return call


def certificate(tmp_path: Path) -> Certificate:
    found, comment = load_public((tmp_path / "id-cert.pub").read_bytes())
    assert isinstance(found, Certificate)
    assert comment == "mine"
    return found


def test_a_user_gets_what_the_settings_and_the_words_say(ca: Nacre, tmp_path: Path) -> None:
    assert ca("init").exit_code == 0
    assert "already" in ca("init").output
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        store.add(StoredUser(name="alice", certificate_options="no-pty", certificate_valid=60))
    key = ("--key", str(tmp_path / "id"))
    assert ca("sign-user", "alice", *key).exit_code == 0
    made = certificate(tmp_path)
    assert (made.principals, made.valid_before - made.valid_after) == (("alice",), 120)
    assert "permit-pty" not in made.extensions
    words = ("--principal", "web", "--principal", "db", "--valid", "1h", "--option", "clear")
    assert ca("sign-user", "alice", *key, *words).exit_code == 0
    made = certificate(tmp_path)
    assert (made.principals, made.serial, made.extensions) == (("web", "db"), 2, {})
    assert made.valid_before - made.valid_after == 3660
    # Who is not in the store gets what is usual.
    assert ca("sign-user", "bob", *key).exit_code == 0
    assert certificate(tmp_path).valid_before - made.valid_before > 6 * 3600


def test_what_is_revoked_is_in_the_list_and_the_krl(ca: Nacre, tmp_path: Path) -> None:
    ca("init")
    key = ("--key", str(tmp_path / "id.pub"))
    assert ca("sign-host", "h.example.com", "10.0.0.1", *key).exit_code == 0
    made = certificate(tmp_path)
    assert (made.kind, made.principals, made.key_id) == (
        2,
        ("h.example.com", "10.0.0.1"),
        "h.example.com",
    )
    assert ca("krl", str(tmp_path / "krl")).exit_code == 0
    assert parse((tmp_path / "krl").read_bytes()).refusal(made) is None
    assert "1 certificates revoked" in ca("revoke", "--key-id", "h.example.com").output
    written = CliRunner().invoke(command, ["krl", "--state", str(tmp_path / "state")])
    assert parse(written.stdout_bytes).refusal(made) is not None
    (row,) = json.loads(ca("list", "--json").stdout)
    assert (row["serial"], row["kind"], row["user"]) == (1, "host", "")
    assert row["principals"] == ["h.example.com", "10.0.0.1"]
    assert row["revoked"] is not None
    assert "h.example.com,10.0.0.1" in ca("list").stdout


def test_the_lines_that_trust_the_authorities(ca: Nacre, tmp_path: Path) -> None:
    ca("init")
    lines = ca("show").stdout.splitlines()
    user, host = (
        (tmp_path / "state" / "ca" / f"{one}_ca.pub").read_text().strip() for one in KINDS
    )
    assert user in lines
    assert f"@cert-authority *.example.com {host}" in lines
    assert "TrustedUserCAKeys /etc/ssh/user_ca.pub" in lines


KINDS = ("user", "host")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sign-user", "alice", "--valid", "3y"], "no time from 1m to 366d"),
        (["sign-user", "alice", "--option", "x"], "Unsupported certificate option"),
        (["sign-user", "alice", "--principal", "a b"], "without blanks"),
        (["sign-user", "-x"], "No such option"),
        (["sign-user", "a/b"], "can't be a user's name"),
        (["sign-host", "a b"], "without blanks"),
    ],
)
def test_words_that_are_wrong(ca: Nacre, tmp_path: Path, words: list[str], reason: str) -> None:
    ca("init")
    done = ca(*words, "--key", str(tmp_path / "id"))
    assert (done.exit_code != 0, reason in done.output) == (True, True), done.output
    assert not (tmp_path / "id-cert.pub").exists()


def test_without_an_authority_or_a_choice_the_remedy_is_said(ca: Nacre, tmp_path: Path) -> None:
    assert "can't use the state directory" in ca("list").output
    (tmp_path / "state").mkdir(mode=0o700)
    UserStore(tmp_path / "state" / FILE).close()
    for words in (["show"], ["sign-user", "alice", "--key", str(tmp_path / "id")]):
        assert "nacre ca init" in ca(*words).output
    ca("init")
    assert "give one of --serial" in ca("revoke").output
    assert "give one of --serial" in ca("revoke", "--serial", "1", "--user", "a").output
    assert "no certificate that is still valid" in ca("revoke", "--serial", "1").output
