from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.keys import authorized_keys, generate
from nacre.keys.authorized_keys import AuthorizedKey, AuthorizedKeys, parse

KEY, OTHER = (generate("ssh-ed25519").public for _ in range(2))
ECDSA = generate("ecdsa-sha2-nistp256").public


def test_lines_with_and_without_options() -> None:
    keys = parse(
        f"# comment\n\n{KEY} alice@host, at work\n"
        f'restrict,command="echo \\"hi there\\"" {OTHER}\r\n  {ECDSA}\n'
    )
    assert keys.rejected == []
    assert [(e.key, e.comment, e.line_number) for e in keys] == [
        (KEY, "alice@host, at work", 3),
        (OTHER, "", 4),
        (ECDSA, "", 5),
    ]
    assert len(keys) == 3
    assert keys.entries[1].options.command == 'echo "hi there"'
    assert not keys.entries[1].options.pty
    assert keys.entries[0].options.pty


def test_blanks_and_commas_within_quotes() -> None:
    (entry,) = parse(f'command="a, b\tc",no-pty\t{KEY}')
    assert entry.options.command == "a, b\tc"
    assert not entry.options.pty


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("unknown-option {key}", "unknown-option is unknown"),
        ("no-pty;restrict {key}", "malformed"),
        ('command="open {key}', "malformed"),
        ("command=bare {key}", "malformed"),
        ("ssh-ed25519 AAAA", "public key"),
        ("ssh-ed25519", "not a public key"),
        ("no-pty", "not a public key"),
        ("ssh-xmss@openssh.com AAAAFHNzaC14bXNzQG9wZW5zc2guY29t", "not supported"),
        ("ssh-rsa {blob}", "do not match"),
        ("\x1b[2J {key}", "malformed at column 1"),
    ],
)
def test_an_unusable_line_is_kept_apart_with_its_reason(line: str, says: str) -> None:
    # Filled in here: KEY is another in each worker of a parallel run, and ids must not be.
    line = line.format(key=KEY, blob=str(KEY).split()[1])
    keys = parse(f"{line}\n{OTHER}\n")
    assert [e.key for e in keys] == [OTHER]
    ((number, reason),) = keys.rejected
    assert number == 1
    assert says.replace("\\\\", "\\") in reason


def test_find() -> None:
    keys = parse(f"{OTHER}\n{KEY} mine\n")
    found = keys.find(KEY)
    assert found is not None
    assert (found.line_number, found.comment) == (2, "mine")
    assert keys.find(ECDSA) is None


def test_find_takes_the_first_line_whose_conditions_hold() -> None:
    keys = parse(
        f'from="10.0.0.0/8",command="inside" {KEY}\n'
        f'expiry-time="20300101Z",command="before 2030" {KEY}\n'
    )

    def command(**client: Any) -> str | None:
        found = keys.find(KEY, **client)
        return found.options.command if found else None

    assert command(address="10.1.2.3", now=0) == "inside"
    assert command(address="192.0.2.1", now=0) == "before 2030"
    assert command(address="192.0.2.1", now=2e9) is None
    assert command(address="10.1.2.3") == "inside"
    assert command() is None


def test_a_certificate_authority_opens_nothing_itself() -> None:
    keys = parse(f"cert-authority {KEY}\n")
    assert len(keys) == 1
    assert keys.find(KEY) is None


@given(st.text(st.sampled_from('"\\=, \t\n#restict-no-ptyssh-AA\x00é\u2028'), max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    keys = authorized_keys.parse(text)
    assert len(keys) + len(keys.rejected) <= text.count("\n") + 1
    authorized_keys.parse(text.encode())


def test_a_search_parses_the_lines_of_its_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    real = AuthorizedKeys._parse_line

    def parse_line(keys: AuthorizedKeys, number: int, raw: bytes) -> AuthorizedKey | None:
        parsed.append(number)
        return real(keys, number, raw)

    monkeypatch.setattr(AuthorizedKeys, "_parse_line", parse_line)
    lines = [f"{KEY}", f"# {ECDSA}", f"unknown-option {ECDSA}", f"no-pty {ECDSA} a", f"{ECDSA} b"]
    keys = parse("\n".join(lines))
    found = keys.find(ECDSA)
    assert found is not None
    assert (found.line_number, found.comment, found.options.pty) == (4, "a", False)
    assert parsed == [2, 3, 4]
    assert parse("").find(KEY) is None
