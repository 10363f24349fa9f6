from __future__ import annotations

import subprocess
from hashlib import sha512
from pathlib import Path

import pytest

from nacre.errors import SignatureError
from nacre.keys import Certificate, CertifiedKey, generate
from nacre.keys.signed.sshsig import (
    BEGIN,
    END,
    SSHSignature,
    algorithm_of,
    data_to_sign,
    new_hash,
    sign,
)
from nacre.wire.codec import string

TYPES = ["ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"]
KEY = generate("ssh-ed25519")
MESSAGE = b"a message\n"


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
@pytest.mark.parametrize("type", TYPES)
def test_a_signature_is_of_its_message_and_namespace(type: str, hash_name: str, key_of) -> None:
    made = sign(key_of(type), MESSAGE, "file", hash_name=hash_name)
    again = SSHSignature.parse(made.armored())
    assert again == made
    assert again.key == key_of(type).public
    assert again.verify(MESSAGE, "file")
    assert not again.verify(MESSAGE + b" ", "file")
    assert not again.verify(MESSAGE, "git")


@pytest.mark.parametrize("type", TYPES)
def test_ssh_keygen_accepts_ours(
    type: str, key_of, tmp_path: Path, ssh_keygen: str, openssh_types: frozenset[str]
) -> None:
    if type not in openssh_types:
        pytest.skip(f"this OpenSSH has no {type}")
    file = tmp_path / "m.sig"
    file.write_bytes(sign(key_of(type), MESSAGE, "file").armored())
    command = [ssh_keygen, "-Y", "check-novalidate", "-n", "file", "-s", str(file)]
    done = subprocess.run(command, input=MESSAGE, capture_output=True, timeout=30, check=False)
    assert done.stdout.startswith(b'Good "file" signature with')
    assert done.returncode == 0


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
@pytest.mark.parametrize("type", ["ed25519", "ecdsa", "rsa"])
def test_theirs_are_accepted_and_written_alike(
    type: str, hash_name: str, tmp_path: Path, keygen
) -> None:
    key, message = tmp_path / "key", tmp_path / "m"
    size = ["-b", "1024"] if type == "rsa" else []
    keygen("-q", "-t", type, *size, "-N", "", "-f", key)
    message.write_bytes(MESSAGE)
    keygen("-q", "-Y", "sign", "-f", key, "-n", "file", "-O", f"hashalg={hash_name}", message)
    theirs = (tmp_path / "m.sig").read_bytes()
    found = SSHSignature.parse(theirs)
    assert found.hash_name == hash_name
    assert found.verify(MESSAGE, "file")
    assert found.armored() == theirs


def test_a_certificate_signs_as_itself() -> None:
    certificate = Certificate.issue(KEY.public, generate("ssh-ed25519"), principals=["alice"])
    made = sign(CertifiedKey(certificate, KEY), MESSAGE, "file")
    found = SSHSignature.parse(made.armored())
    assert found.key == certificate
    assert found.verify(MESSAGE, "file")


def test_rsa_keys_never_sign_with_sha1(key_of) -> None:
    rsa = key_of("ssh-rsa")
    assert algorithm_of(rsa.public) == "rsa-sha2-512"
    digest = sha512(MESSAGE).digest()
    weak = rsa.sign(data_to_sign(digest, "file"), "ssh-rsa")
    assert SSHSignature(rsa.public, "file", "sha512", weak).refusal(digest, "file") == (
        "signatures with ssh-rsa are not accepted"
    )


def test_a_namespace_and_a_known_hash_are_needed() -> None:
    with pytest.raises(SignatureError, match="needs a namespace"):
        sign(KEY, MESSAGE, "")
    with pytest.raises(SignatureError, match="unsupported hash algorithm"):
        sign(KEY, MESSAGE, "file", hash_name="md5")
    with pytest.raises(SignatureError, match="unsupported"):
        new_hash("sha1")


def _armored(blob: bytes) -> bytes:
    from base64 import b64encode

    return b"\n".join([BEGIN, b64encode(blob), END, b""])


_HEAD = b"SSHSIG\0\0\0\1" + string(KEY.public.blob)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "missing header"),
        (BEGIN + b"\nAAAA\n", "missing footer"),
        (BEGIN + b"\n!!!!\n" + END, "not base64"),
        (BEGIN + b"A" * 70000, "at most 65536 bytes"),
        (_armored(b"SSHSIX"), "does not begin with SSHSIG"),
        (_armored(b"SSHSIG\0\0\0\2"), "version 2 is not supported"),
        (_armored(b"SSHSIG\0\0\0\1" + string(b"no key")), "couldn't parse"),
        (_armored(_HEAD + string(b"file") * 2 + string(b"md5") + string(string(b""))), "md5"),
        (_armored(_HEAD + string(b"") * 2 + string(b"sha512") + string(string(b""))), "namespace"),
        (_armored(_HEAD + string(b"a") * 2 + string(b"sha512") + string(b"")), "cut off"),
        (_armored(_HEAD + string(b"a") * 2 + string(b"sha512")), "cut off"),
    ],
    ids=range(11),
)
def test_what_is_no_signature_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SignatureError, match=reason):
        SSHSignature.parse(data)
