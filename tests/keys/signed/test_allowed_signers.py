from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nacre.keys import Certificate, CertifiedKey, generate
from nacre.keys.signed.allowed_signers import AllowedSigners
from nacre.keys.signed.sshsig import SSHSignature, sign

KEY = generate("ssh-ed25519")
OTHER = generate("ssh-ed25519")
CA = generate("ecdsa-sha2-nistp256")
NOW = 1_700_000_000
MESSAGE = b"a message\n"
SIGNATURE = sign(KEY, MESSAGE, "file")
CERTIFICATE = Certificate.issue(
    KEY.public,
    CA,
    principals=["alice@x", "bob@y"],
    valid_after=NOW - 1000,
    valid_before=NOW + 1000,
)
CERTIFIED = sign(CertifiedKey(CERTIFICATE, KEY), MESSAGE, "file")


def allows(text: str, principal: str, signature: SSHSignature = SIGNATURE, at: int = NOW) -> object:
    """Return whether a file allows the signature, or else what it reports."""
    reported: list[tuple[int, str]] = []
    file = AllowedSigners(_filled(text).encode())
    if file.allows(signature, principal, at=at, report=lambda *one: reported.append(one)):
        return True
    return reported


def _filled(text: str) -> str:
    return text.format(key=KEY.public, other=OTHER.public, ca=CA.public)


CASES = [
    ("alice {key}", "alice", True),
    ("alice {key} a comment", "alice", True),
    ("\n# comment\n \t alice {key}", "alice", True),
    ("alice {key}", "bob", []),
    ("alice {other}", "alice", []),
    ("a*,b?b {key}", "bob", True),
    ("*,!bob {key}", "bob", []),
    ('"with blank,x" {key}', "with blank", True),
    ('x,"with blank" {key}', "with blank", True),
    ('alice namespaces="git,fi*" {key}', "alice", True),
    ('alice NAMESPACES="file" {key}', "alice", True),
    (
        'alice namespaces="git" {key}',
        "alice",
        [(1, 'key is not permitted for use in signature namespace "file"')],
    ),
    ('alice namespaces="git" {key}\nalice {key}', "alice", True),
    ('alice valid-after="20200101Z",valid-before="20300101Z" {key}', "alice", True),
    ("alice cert-authority {key}", "alice", []),
    ("alice foo {key}", "alice", [(1, "bad options: foo is unknown or malformed")]),
    ("alice namespaces {key}", "alice", [(1, "bad options: namespaces is unknown or malformed")]),
    (
        'alice cert-authority="x" {key}',
        "alice",
        [(1, "bad options: cert-authority is unknown or malformed")],
    ),
    (
        'alice namespaces="a",namespaces="b" {key}',
        "alice",
        [(1, "bad options: namespaces is given twice")],
    ),
    ('alice valid-after="soon" {key}', "alice", [(1, "bad options: invalid time 'soon'")]),
    ("alice", "alice", [(1, "missing key")]),
    ('"alice {key}', "alice", [(1, "invalid line")]),
    ("alice foo {key}\nalice {key}", "alice", True),
    ("bob foo {key}\nalice {key}", "alice", True),
    ("", "alice", []),
]


@pytest.mark.parametrize(("text", "principal", "expected"), CASES, ids=range(len(CASES)))
def test_a_line_allows_a_key_for_principals(text: str, principal: str, expected) -> None:
    assert allows(text, principal) == expected


@pytest.mark.parametrize(("text", "principal", "expected"), CASES, ids=range(len(CASES)))
def test_ssh_keygen_agrees(
    text: str, principal: str, expected, tmp_path: Path, ssh_keygen: str
) -> None:
    (tmp_path / "allowed").write_text(_filled(text) + "\n")
    (tmp_path / "sig").write_bytes(SIGNATURE.armored())
    command = [ssh_keygen, "-Y", "verify", "-n", "file", "-s", str(tmp_path / "sig")]
    command += ["-f", str(tmp_path / "allowed"), "-I", principal]
    done = subprocess.run(command, input=MESSAGE, capture_output=True, timeout=30, check=False)
    assert (done.returncode == 0) == (expected is True), done.stderr


def test_a_key_is_valid_between_two_times() -> None:
    line = 'alice valid-after="20200101Z",valid-before="20210101Z" {key}'
    after, before = 1577836800, 1609459200
    assert allows(line, "alice", at=after) is True
    assert allows(line, "alice", at=before) is True
    assert "key is not yet valid" in str(allows(line, "alice", at=after - 1))
    assert "key has expired" in str(allows(line, "alice", at=before + 1))


@pytest.mark.parametrize(
    ("text", "principal", "at", "expected"),
    [
        ("*@x cert-authority {ca}", "alice@x", NOW, "True"),
        ("* cert-authority {ca}", "carol@x", NOW, "certificate not authorized: carol@x is not"),
        ("carol@x cert-authority {ca}", "alice@x", NOW, "[]"),
        ("* cert-authority {ca}", "alice@x", NOW - 2000, "not yet valid"),
        ("* cert-authority {ca}", "alice@x", NOW + 2000, "has expired"),
        ("* {ca}", "alice@x", NOW, "[]"),
        ("* {key}", "alice@x", NOW, "[]"),
        ("* cert-authority {other}", "alice@x", NOW, "[]"),
    ],
)
def test_a_certificate_is_allowed_by_its_authority(
    text: str, principal: str, at: int, expected: str
) -> None:
    assert expected in str(allows(text, principal, CERTIFIED, at))


def test_principals_of_a_key_are_those_of_its_first_line() -> None:
    file = AllowedSigners(_filled("x {other}\nbad\na@b,c@* {key}\nd {key}").encode())
    reported: list[tuple[int, str]] = []
    found = file.principals_of(KEY.public, at=NOW, report=lambda *one: reported.append(one))
    assert found == ["a@b", "c@*"]
    assert reported == [(2, "missing key")]
    assert file.principals_of(CA.public, at=NOW) == []


def test_a_line_that_is_not_valid_has_no_principals() -> None:
    file = AllowedSigners(_filled('a valid-before="20200101" {key}\nb {key}').encode())
    reported: list[tuple[int, str]] = []
    found = file.principals_of(KEY.public, at=NOW, report=lambda *one: reported.append(one))
    assert found == ["b"]
    assert reported[0][1].startswith("key has expired: verify time 2023-11-1")
    assert file.principals_of(KEY.public, at=1_500_000_000) == ["a"]


def test_principals_of_a_certificate_are_its_own_that_match() -> None:
    file = AllowedSigners(_filled("carol@x cert-authority {ca}\n*@x cert-authority {ca}").encode())
    assert file.principals_of(CERTIFICATE, at=NOW) == ["alice@x"]
    assert file.principals_of(CERTIFICATE, at=NOW + 5000) == []


def test_lists_of_a_principal_are_as_written() -> None:
    file = AllowedSigners(_filled("a@b,c@* {other}\nd {key}\n*@x {key}").encode())
    assert file.lists_of("c@x") == ["a@b,c@*", "*@x"]
    assert file.lists_of("e") == []
