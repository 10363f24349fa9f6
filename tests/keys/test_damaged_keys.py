"""No error about a key file, a damaged one above all, repeats a piece of a private key."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from nacre.errors import KeyFormatError, NacreError, PassphraseRequired
from nacre.keys import authorized_keys, dump_private, generate, load_private, load_public
from nacre.keys.files import is_private, public_half
from nacre.keys.formats.armor import blocks, wrapped
from nacre.keys.hosts.known_hosts import KnownHosts

PIECE = 16
"""Characters of base64 that may not appear: 12 bytes of a key."""


def _pem(key, form: PrivateFormat, secret: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption)


def _files() -> dict[str, bytes]:
    curve, numbers = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    seed = ed25519.Ed25519PrivateKey.generate()
    return {
        "OpenSSH Ed25519": dump_private(generate("ssh-ed25519")),
        "OpenSSH RSA": dump_private(generate("ssh-rsa", bits=2048)),
        "OpenSSH, encrypted": dump_private(generate("ssh-ed25519"), "secret", rounds=1),
        "PKCS#8 Ed25519": _pem(seed, PrivateFormat.PKCS8),
        "PKCS#8, encrypted": _pem(seed, PrivateFormat.PKCS8, b"secret"),
        "SEC 1": _pem(curve, PrivateFormat.TraditionalOpenSSL),
        "SEC 1, encrypted": _pem(curve, PrivateFormat.TraditionalOpenSSL, b"secret"),
        "PKCS#1": _pem(numbers, PrivateFormat.TraditionalOpenSSL),
        "PuTTY": dump_private(generate("ssh-ed25519"), format="ppk3"),
        "PuTTY, encrypted": dump_private(generate("ssh-ed25519"), "secret", format="ppk2"),
        "DSA": _pem(dsa.generate_private_key(1024), PrivateFormat.TraditionalOpenSSL),
    }


FILES = _files()

BENDS: dict[str, Callable[[bytes], bytes]] = {
    "an empty line before END": lambda t: t.replace(b"-----END", b"\n-----END"),
    "an empty line behind BEGIN": lambda t: t.replace(b"-----\n", b"-----\n\n", 1),
    "an empty line in the middle": lambda t: b"\n\n".join(t.rsplit(b"\n", 2)),
    "a foreign character": lambda t: t[:90] + b"*" + t[90:],
    "characters left out": lambda t: t[:100] + t[104:],
    "cut off": lambda t: t[:-20],
    "a literal \\n": lambda t: t.replace(b"\n", b"\\n"),
    "spaces for line ends": lambda t: t.replace(b"\n", b" "),
    "a header": lambda t: t.replace(b"-----\n", b"-----\nA: b\n", 1),
    "no BEGIN line": lambda t: t.split(b"\n", 1)[1],
    "neither BEGIN nor END": lambda t: b"\n".join(t.splitlines()[1:-1]),
    "four dashes": lambda t: t.replace(b"-----BEGIN", b"----BEGIN"),
    "another BEGIN": lambda t: t.replace(b"BEGIN", b"BEGIN ENCRYPTED", 1),
    "an option in front": lambda t: b"no-pty " + b" ".join(t.splitlines()[1:-1]),
    "a type in front": lambda t: b"ssh-ed25519 " + b"".join(t.splitlines()[1:-1]),
    "a host in front": lambda t: b"host ssh-rsa " + b"".join(t.splitlines()[1:-1]),
    "quoted": lambda t: b'command="x" ' + b" ".join(t.splitlines()[1:-1]),
}


def _pieces(text: bytes) -> set[str]:
    """Return each piece of the file's base64, and of what it decodes to."""
    body = "".join(
        line.decode() for line in text.splitlines() if b"-" not in line and b":" not in line
    )
    raw = base64.b64decode(body)
    shown = [body, raw.hex(), repr(raw), raw.decode("latin-1")]
    # What every such file begins with is no secret.
    return {one[i : i + PIECE] for one in shown for i in range(100, len(one) - PIECE)} | {
        body[i : i + 24] for i in range(40, len(body) - 24)
    }


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        yield repr(error)
        error = error.__cause__ or error.__context__


def _said(text: bytes) -> Iterator[str]:
    """Yield all that is said of a key file by whatever may read it."""
    readers: tuple[Callable[[], object], ...] = (
        lambda: load_private(text),
        lambda: load_private(text, "wrong"),
        lambda: load_private(text, "secret"),
        lambda: load_public(text),
        lambda: public_half(text),
    )
    for read in readers:
        try:
            read()
        except NacreError as error:
            yield from _chain(error)
            yield "".join(traceback.format_exception(error))
    yield from (reason for _, reason in authorized_keys.parse(text).rejected)
    yield from (reason for _, reason in KnownHosts.parse(text).rejected)


@pytest.mark.slow
@pytest.mark.parametrize("bend", BENDS)
@pytest.mark.parametrize("name", FILES)
def test_no_error_repeats_the_key(name: str, bend: str) -> None:
    pieces = _pieces(FILES[name])
    for said in _said(BENDS[bend](FILES[name])):
        assert not [piece for piece in pieces if piece in said], said


@pytest.mark.slow
def test_damage_at_each_byte_repeats_no_number_of_the_key() -> None:
    """A length or a name that damage moves into the private section is not shown."""
    text = FILES["OpenSSH Ed25519"]
    lines = text.splitlines()
    raw = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    secret = raw[-130:]
    numbers = {str(int.from_bytes(secret[i : i + 4], "big")) for i in range(len(secret) - 4)}
    numbers = {number for number in numbers if len(number) > 6}
    for i in range(len(raw)):
        for change in (b"", b"\0", b"\xff"):
            bent = base64.encodebytes(bytes(raw[:i] + change + raw[i + 1 :]))
            try:
                load_private(b"\n".join([lines[0], bent, lines[-1]]))
            except NacreError as error:
                said = "".join(traceback.format_exception(error))
                assert not [number for number in numbers if number in said], said


def test_a_curve_whose_name_damage_moved_into_the_key_is_not_shown() -> None:
    key = generate("ecdsa-sha2-nistp256")
    raw = blocks(dump_private(key))[0].data()
    at = raw.rindex(b"nistp256") - 1
    damaged = raw[:at] + b"\x48" + raw[at + 1 :]
    with pytest.raises(KeyFormatError, match=r"names the curve \(no name\)"):
        load_private(wrapped("OPENSSH PRIVATE KEY", damaged))


@pytest.mark.parametrize(
    "cipher", [b"CAMELLIA-256-CBC", b"ARIA-128-CBC", b"SEED-CBC", b"DES-CBC", b"AES-128-CTR"]
)
def test_a_cipher_that_is_not_there_is_not_damage(cipher: bytes) -> None:
    text = FILES["SEC 1, encrypted"].replace(b"DEK-Info: AES-256-CBC", b"DEK-Info: " + cipher)
    for passphrase in (None, "secret"):
        with pytest.raises(KeyFormatError, match=f"{cipher.decode()} is not supported"):
            load_private(text, passphrase)


def test_an_encryption_of_pkcs8_that_is_not_there_is_not_damage() -> None:
    text = FILES["PKCS#8, encrypted"]
    raw = base64.b64decode(b"".join(text.splitlines()[1:-1]))
    # aes256-CBC becomes aes256-OFB (2.16.840.1.101.3.4.1.43).
    other = raw.replace(bytes.fromhex("60864801650304012a"), bytes.fromhex("60864801650304012b"))
    assert other != raw
    lines = [text.splitlines()[0], base64.encodebytes(other).strip(), text.splitlines()[-1], b""]
    with pytest.raises(KeyFormatError, match="not supported"):
        load_private(b"\n".join(lines), "secret")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "X.509"),
        (b"-----BEGIN TRUSTED CERTIFICATE-----\n", "X.509"),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "no BEGIN line|private key, and"),
    ],
)
def test_a_foreign_format_is_named(text: bytes, says: str) -> None:
    with pytest.raises(KeyFormatError, match=says):
        load_private(text)
    with pytest.raises(KeyFormatError, match=says):
        load_public(text)


def test_a_private_key_is_recognised_behind_other_text() -> None:
    assert is_private(b"Bag Attributes\n" + FILES["PKCS#8 Ed25519"])
    assert not is_private(b"-----BEGIN PUBLIC KEY-----\n")
    assert not is_private(b"ssh-ed25519 AAAA\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "bend", ["a foreign character", "a literal \\n", "no BEGIN line", "a type in front"]
)
def test_no_program_prints_the_key(bend: str, tmp_path: Path) -> None:
    nacre = os.path.join(os.path.dirname(sys.executable), "nacre")
    text = FILES["PKCS#8 Ed25519"]
    path = tmp_path / "ssh_host_ed25519_key"
    path.write_bytes(BENDS[bend](text))
    path.chmod(0o600)
    pieces = _pieces(text)
    for words in (
        ("keygen", "-y", "-f", path),
        ("keygen", "-l", "-f", path),
        ("keygen", "-p", "-N", "", "-f", path),
        ("ssh", "-vvv", "-o", "BatchMode=yes", "-i", path, "-p", "1", "u@127.0.0.1"),
        ("user", "add", "bob", "--state", tmp_path, "--key", path),
        ("serve", "--state", tmp_path, "--listen", "127.0.0.1:0"),
    ):
        done = subprocess.run(
            [nacre, *map(str, words)], capture_output=True, timeout=50, stdin=subprocess.DEVNULL
        )
        assert done.returncode
        said = (done.stdout + done.stderr).decode()
        assert "Traceback" not in said
        assert not [piece for piece in pieces if piece in said], said


def test_a_wrong_passphrase_is_still_told_as_one() -> None:
    for name in ("OpenSSH, encrypted", "PKCS#8, encrypted", "SEC 1, encrypted"):
        with pytest.raises(PassphraseRequired):
            load_private(FILES[name], "wrong")
