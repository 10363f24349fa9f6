"""``-Q``: lists of algorithms, with the names of ssh(1)."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from nacre.cli.ssh.queries import KEYWORDS, LISTS, answer

_OWN_KEYS = {
    "ssh-dss",
    "ssh-ed448",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-ed448-cert-v01@openssh.com",
    "ssh-mldsa44-ed25519@openssh.com",
    "ssh-mldsa44-ed25519-cert-v01@openssh.com",
}

NACRES_OWN = {
    **dict.fromkeys(["key", "key-cert", "key-plain", "key-sig", "sig"], _OWN_KEYS),
    "compression": {"zlib"},
    "kex": {"mlkem768x25519-sha256", "mlkem768nistp256-sha256", "mlkem1024nistp384-sha384"},
    "protocol-version": {"1"},
}
"""Names that the ssh of some distribution does not have."""


def asked(query: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert answer("nacre ssh", query) == 0
    return capsys.readouterr().out.splitlines()


def test_names_of_each_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("cipher-auth", capsys) == [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ]
    assert "aes256-ctr" in asked("cipher", capsys)
    # A type of keys has one name, its signatures may have several.
    assert "rsa-sha2-512" not in asked("key", capsys)
    assert {"ssh-rsa", "ssh-ed25519"} <= set(asked("key", capsys))
    assert {"rsa-sha2-512", "ssh-rsa"} <= set(asked("sig", capsys))
    assert asked("kex-gss", capsys)[0] == "gss-curve25519-sha256-"
    assert asked("protocol-version", capsys) == ["1", "2"]
    assert asked("compression", capsys) == ["none", "zlib@openssh.com", "zlib"]


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_keyword_in_any_case_is_its_list(
    keyword: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = asked(KEYWORDS[keyword], capsys)
    assert asked(keyword, capsys) == asked(keyword.upper(), capsys) == expected


def test_plain_names_and_those_of_certificates_are_all(capsys: pytest.CaptureFixture[str]) -> None:
    plain, certificates = asked("key-plain", capsys), asked("key-cert", capsys)
    assert sorted(plain + certificates) == sorted(asked("key", capsys))
    assert all("-cert-" in name for name in certificates)
    assert not any("-cert-" in name for name in plain)


def test_the_names_of_the_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("help", capsys) == [*LISTS, *KEYWORDS]


def test_an_unknown_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer("nacre ssh", "ciph\x1b") == 255
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "-Q ciph\\x1b: unknown list; give one of cipher, cipher-auth" in shown.err


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
def test_every_list_of_openssh_has_names_of_openssh(capsys: pytest.CaptureFixture[str]) -> None:
    def theirs(query: str) -> set[str]:
        command = ["ssh", "-Q", query]
        return set(subprocess.run(command, stdout=-1, text=True, timeout=30).stdout.split())

    assert theirs("help") - set(LISTS) == set()
    for name in theirs("help"):
        extra = set(asked(name, capsys)) - theirs(name)
        assert extra - NACRES_OWN.get(name, set()) == set(), name
