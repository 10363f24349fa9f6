"""``nacre keygen -Y``. What ssh-keygen makes of its signatures: tests/interop."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Done, Keygen
from nacre.keys import PrivateKey, dump_private, generate
from nacre.keys.signed.revocation import RevocationList
from nacre.keys.signed.sshsig import SSHSignature


@pytest.fixture
def key(keygen: Keygen) -> PrivateKey:
    """A key in the files ``key`` and ``key.pub``; ``m`` is a message, ``allowed`` its signers."""
    made = generate("ssh-ed25519")
    Path("key").write_bytes(dump_private(made))
    Path("key").chmod(0o600)
    Path("key.pub").write_text(f"{made.public} me\n")
    Path("m").write_text("a message\n")
    Path("allowed").write_text(f'alice,*@x {made.public}\nbob namespaces="git" {made.public}\n')
    return made


def sign(keygen: Keygen, *words: str, typed: str = "") -> Done:
    return keygen("-Y", "sign", "-n", "file", "-f", "key", *words, typed=typed)


def verify(keygen: Keygen, *words: str, principal: str = "alice", message: str = "a message\n"):
    common = ("-n", "file", "-s", "m.sig", "-f", "allowed", "-I", principal)
    return keygen("-Y", "verify", *common, *words, typed=message)


def test_files_are_signed_beside_them(keygen: Keygen, key: PrivateKey) -> None:
    Path("n").write_text("another\n")
    done = sign(keygen, "m", "n")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "Signing file m\nWrite signature to m.sig\nSigning file n\nWrite signature to n.sig\n"
    )
    for name in ("m", "n"):
        found = SSHSignature.parse(Path(f"{name}.sig").read_bytes())
        assert found.key == key.public
        assert found.verify(Path(name).read_bytes(), "file")


def test_standard_input_is_signed_to_standard_output(keygen: Keygen, key: PrivateKey) -> None:
    done = sign(keygen, "-O", "hashalg=sha256", typed="a message\n")
    assert done.exit_code == 0
    found = SSHSignature.parse(done.stdout.encode())
    assert found.hash_name == "sha256"
    assert found.verify(b"a message\n", "file")


def test_a_signature_is_overwritten_after_a_question(keygen: Keygen, key: PrivateKey) -> None:
    Path("m.sig").write_text("there")
    assert sign(keygen, "m", typed="n\n").exit_code == 0
    assert Path("m.sig").read_text() == "there"
    done = sign(keygen, "-q", "m", typed="y\n")
    assert "m.sig already exists.\nOverwrite (y/n)? " in done.stdout
    assert Path("m.sig").read_text() != "there"


def test_a_good_signature_is_told_with_its_key(keygen: Keygen, key: PrivateKey) -> None:
    sign(keygen, "-q", "m")
    good = f"with ED25519 key {key.public.fingerprint()}\n"
    done = verify(keygen, principal="a@x")
    assert (done.exit_code, done.stdout) == (0, f'Good "file" signature for a@x {good}')
    done = verify(keygen, "-q", "-O", "print-pubkey")
    assert (done.exit_code, done.stdout) == (0, f"{key.public}\n")
    done = keygen("-Y", "check-novalidate", "-n", "file", "-s", "m.sig", typed="a message\n")
    assert (done.exit_code, done.stdout) == (0, f'Good "file" signature {good}')


@pytest.mark.parametrize(
    ("words", "principal", "message", "said"),
    [
        ([], "alice", "another", "Signature verification failed: incorrect signature"),
        ([], "carol", "a message\n", ""),
        ([], "bob", "a message\n", "allowed:2: key is not permitted for use in signature name"),
        (["-n", "git"], "alice", "a message\n", "namespace does not match"),
        (["-s", "none"], "alice", "a message\n", 'Unable to open signature file "none"'),
        (["-s", "key"], "alice", "a message\n", "missing header"),
        (["-f", "none"], "alice", "a message\n", 'Unable to open allowed keys file "none"'),
        (["-r", "none"], "alice", "a message\n", 'Unable to open file of revoked keys "none"'),
        (["-r", "key.pub"], "alice", "a message\n", "is revoked"),
        (["-r", "krl"], "alice", "a message\n", "is revoked"),
        (["-r", "m"], "alice", "a message\n", "which keys are revoked can't be read"),
        (["-O", "foo"], "alice", "a message\n", 'Invalid option "foo"'),
        (["-O", "verify-time=soon"], "alice", "a message\n", 'Invalid "verify-time" option'),
    ],
    ids=range(13),
)
def test_what_is_not_good(
    keygen: Keygen, key: PrivateKey, words: list[str], principal: str, message: str, said: str
) -> None:
    sign(keygen, "-q", "m")
    revoked = RevocationList()
    revoked.add_key(key.public)
    Path("krl").write_bytes(revoked.encode(0))
    done = verify(keygen, *words, principal=principal, message=message)
    assert (done.exit_code, done.stdout) == (255, "Could not verify signature.\n")
    assert said in done.stderr


def test_the_time_to_verify_at_can_be_given(keygen: Keygen, key: PrivateKey) -> None:
    sign(keygen, "-q", "m")
    Path("allowed").write_text(f'alice valid-before="20200101" {key.public}\n')
    assert "key has expired" in verify(keygen).stderr
    assert verify(keygen, "-O", "verify-time=20190101").exit_code == 0


def test_principals_are_found_by_key_and_by_name(keygen: Keygen, key: PrivateKey) -> None:
    sign(keygen, "-q", "m")
    done = keygen("-Y", "find-principals", "-s", "m.sig", "-f", "allowed")
    assert (done.exit_code, done.stdout) == (0, "alice\n*@x\n")
    done = keygen("-Y", "match-principals", "-I", "b@x", "-f", "allowed")
    assert (done.exit_code, done.stdout) == (0, "alice,*@x\n")
    Path("allowed").write_text("")
    done = keygen("-Y", "find-principals", "-s", "m.sig", "-f", "allowed")
    assert (done.exit_code, done.stderr) == (255, "No principal matched.\n")
    done = keygen("-Y", "match-principals", "-I", "b@x", "-f", "allowed")
    assert (done.exit_code, done.stderr) == (210, "No principal matched.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sign", "-f", "key"], "Too few arguments for sign: missing namespace"),
        (["sign", "-n", "file"], "Too few arguments for sign: missing key"),
        (["verify", "-n", "a", "-s", "b", "-f", "c"], "verify: missing principal identity"),
        (["verify", "-n", "a", "-s", "b", "-I", "c"], "verify: missing allowed keys file"),
        (["check-novalidate", "-n", "a"], "missing signature file"),
        (["bogus"], 'Unsupported operation for -Y: "bogus"'),
    ],
)
def test_options_that_are_missing(keygen: Keygen, words: list[str], said: str) -> None:
    done = keygen("-Y", *words)
    assert done.exit_code == 1
    assert said in done.stderr


def test_a_key_that_can_not_sign_is_named(keygen: Keygen, key: PrivateKey) -> None:
    done = keygen("-Y", "sign", "-n", "file", "-f", "none", "m")
    assert (done.exit_code, done.stderr) == (
        255,
        "Couldn't load public key none: No such file or directory\n",
    )
    assert "Cannot open none for signing" in sign(keygen, "none").stderr
    assert sign(keygen, "-O", "hashalg=md5", "m").exit_code == 255
    Path("key.pub").write_text(str(generate("ssh-ed25519").public))
    done = keygen("-Y", "sign", "-n", "file", "-f", "key.pub", "m")
    assert "is not the private half of" in done.stderr
