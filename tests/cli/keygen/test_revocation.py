"""``nacre keygen -k`` and ``-Q``. ssh-keygen beside it: tests/interop."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen
from nacre.keys import Certificate, generate
from nacre.keys.signed.revocation import RevocationList

CA = generate("ssh-ed25519")
KEY = generate("ssh-ed25519").public
OTHER = generate("ecdsa-sha2-nistp256").public


@pytest.fixture(autouse=True)
def _files(keygen: Keygen) -> None:
    Path("ca.pub").write_text(f"{CA.public}\n")
    Path("key.pub").write_text(f"{KEY} me\n")
    Path("other.pub").write_text(f"{OTHER}\n")


def made() -> RevocationList:
    return RevocationList.decode(Path("krl").read_bytes())


def test_keys_in_files_are_revoked_and_asked_for(keygen: Keygen) -> None:
    done = keygen("-k", "-f", "krl", "-z", "7", "-C", "a comment", "key.pub")
    assert (done.exit_code, done.stdout) == (0, "Revoking from key.pub\n")
    assert (made().version, made().comment) == (7, "a comment")
    done = keygen("-Q", "-f", "krl", "key.pub", "other.pub")
    assert (done.exit_code, done.stdout) == (1, "key.pub (me): REVOKED\nother.pub: ok\n")
    done = keygen("-Q", "-f", "krl", "other.pub")
    assert done.exit_code == 0
    assert f"hash: {KEY.fingerprint()} # ssh-ed25519" in keygen("-Q", "-l", "-f", "krl").stdout


def test_lines_of_a_specification_are_added(keygen: Keygen) -> None:
    lines = [
        "# comment",
        "serial: 1-0x10 # comment",
        "SERIAL:017",
        "id: a b",
        f"key: {Certificate.issue(KEY, CA)}",
        f"sha1: {OTHER}",
        f"sha256: {OTHER}",
        f"hash: {CA.public.fingerprint()}",
        f"{Certificate.issue(KEY, CA, serial=99)}",
    ]
    done = keygen("-q", "-k", "-f", "krl", "-s", "ca.pub", "-", typed="\n".join(lines))
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    found = made()
    assert found.keys == {KEY.blob}
    assert found.sha1
    assert len(found.sha256) == 2
    (revoked,) = found.certificates.values()
    assert revoked.serials.ranges == [(1, 16), (99, 99)]
    assert revoked.key_ids == {"a b"}


def test_a_list_is_updated(keygen: Keygen) -> None:
    keygen("-k", "-f", "krl", "-z", "1", "key.pub")
    keygen("-k", "-u", "-f", "krl", "-s", "none", "-", typed="id: x\n")
    assert made().keys == {KEY.blob}
    assert made().certificates.keys() == {b""}
    assert made().version == 1
    keygen("-k", "-f", "krl", "other.pub")
    assert made().keys == {OTHER.blob}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serial: 0", "1: serial numbers are from 1"),
        ("serial: 5-4", "1: invalid serial range 5:4"),
        ("serial: x", '1: invalid serial "x"'),
        ("serial: 09", '1: invalid serial "09"'),
        ("serial: 1-2-3", '1: invalid serial "2-3"'),
        ("serial: 18446744073709551616", "1: serial out of range"),
        ("hash: MD5:a", "1: unsupported hash algorithm"),
        ("hash: SHA256:a", "1: decode hash failed"),
        ("hash: SHA256:AAAA", "1: decode hash failed"),
        ("nonsense", "1: invalid key"),
        ("key: nonsense", "1: invalid key"),
    ],
)
def test_lines_that_can_not_be_used(keygen: Keygen, line: str, said: str) -> None:
    done = keygen("-k", "-f", "krl", "-s", "none", "-", typed=f"{line}\n")
    assert done.exit_code == 255
    assert f"(standard input):{said}" in done.stderr
    assert not Path("krl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-k", "key.pub"], "KRL generation requires an output file"),
        (["-Q", "key.pub"], "KRL checking requires an input file"),
        (["-k", "-u", "-f", "krl", "key.pub"], 'KRL "krl" does not exist'),
        (["-k", "-f", "krl", "-z", "x"], 'Invalid serial number "x"'),
        (["-k", "-f", "krl", "-s", "none.pub"], "Cannot load CA public key none.pub: No such"),
        (["-k", "-f", "krl", "none"], "fopen none: No such file"),
        (["-k", "-f", "no/krl", "key.pub"], "write no/krl: No such file"),
        (["-Q", "-f", "none"], "Unable to load KRL none: No such file"),
        (["-Q", "-f", "key.pub"], "Invalid KRL file key.pub: this is no KRL"),
    ],
    ids=range(9),
)
def test_files_and_options_that_can_not_be_used(
    keygen: Keygen, words: list[str], said: str
) -> None:
    done = keygen(*words)
    assert done.exit_code == 255
    assert said in done.stderr


@pytest.mark.parametrize("line", ["serial: 1", "id: x"])
def test_certificates_are_revoked_for_an_authority(keygen: Keygen, line: str) -> None:
    done = keygen("-k", "-f", "krl", "-", typed=f"{line}\n")
    assert done.exit_code == 255
    assert "requires specification of a CA key" in done.stderr


def test_a_key_to_ask_for_must_be_there(keygen: Keygen) -> None:
    keygen("-k", "-f", "krl")
    assert "Cannot load public key none: No such" in keygen("-Q", "-f", "krl", "none").stderr
    Path("bad").write_text("bad\n")
    assert "Cannot load public key bad: invalid" in keygen("-Q", "-f", "krl", "bad").stderr
