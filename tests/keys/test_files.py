from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nacre.crypto import pem
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys import (
    Certificate,
    PrivateKey,
    dump_private,
    dump_public,
    generate,
    load_private,
    load_public,
)
from nacre.keys.files import PrivateKeyFormat, PublicKeyFormat
from nacre.keys.formats import openssh
from nacre.keys.formats.armor import blocks, wrapped
from nacre.keys.key import KEY_TYPES

NAMES = {"rsa": "1024", "ecdsa": "521", "ed25519": "256", "dsa": "1024"}
CIPHERS = [
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "3des-cbc",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
]
KINDS = [(name, form) for name in NAMES for form in ("RFC4716", "PEM", "PKCS8")]


def check_signs(key: PrivateKey) -> None:
    for algorithm in key.public.signature_algorithms:
        assert key.public.verify(key.sign(b"data", algorithm), b"data", algorithm)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), KINDS)
@pytest.mark.parametrize("passphrase", ["", "pässphrase"])
def test_files_that_ssh_keygen_writes(
    name: str, form: str, passphrase: str, keygen, openssh_types: frozenset[str], tmp_path: Path
) -> None:
    if name == "dsa" and "ssh-dss" not in openssh_types:
        pytest.skip("the installed OpenSSH has no keys of type ssh-dss")
    file = tmp_path / "key"
    arguments = ["-t", name, "-b", NAMES[name], "-m", form, "-N", passphrase, "-C", "a comment"]
    keygen("-q", "-a", "1", *arguments, "-f", file)
    public, comment = load_public((tmp_path / "key.pub").read_bytes())
    assert comment == "a comment"
    text = file.read_bytes()

    key = load_private(text, passphrase or None)
    assert key.public == public
    check_signs(key)
    if b"OPENSSH" in text:
        assert key.comment == "a comment"
    assert load_private(text.decode(), passphrase.encode()).public == public

    if passphrase:
        with pytest.raises(PassphraseRequired):
            load_private(text)
        with pytest.raises(PassphraseRequired):
            load_private(text, "")
        with pytest.raises(PassphraseRequired):
            load_private(text, "another")
    else:
        assert load_private(text, "one that is not needed").public == public


@pytest.mark.parametrize("cipher", CIPHERS)
def test_each_cipher_that_ssh_keygen_encrypts_with(cipher: str, keygen, tmp_path: Path) -> None:
    file = tmp_path / "key"
    keygen("-q", "-t", "ed25519", "-Z", cipher, "-a", "1", "-N", "secret", "-f", file)
    public, _ = load_public((tmp_path / "key.pub").read_text())
    assert load_private(file.read_bytes(), "secret").public == public
    with pytest.raises(PassphraseRequired, match="wrong"):
        load_private(file.read_bytes(), "other")


@pytest.mark.parametrize("type", KEY_TYPES)
@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_ssh_keygen_reads_what_is_dumped(
    type: str,
    passphrase: str | None,
    key_of,
    keygen,
    openssh_types: frozenset[str],
    tmp_path: Path,
) -> None:
    if type not in openssh_types:
        pytest.skip(f"the installed OpenSSH has no keys of type {type}")
    key = key_of(type)
    file = tmp_path / "key"
    file.write_bytes(dump_private(key, passphrase, rounds=1))
    file.chmod(0o600)
    printed = keygen("-y", "-P", passphrase or "", "-f", file)
    assert load_public(printed) == (key.public, key.comment)

    again = load_private(file.read_bytes(), passphrase)
    assert (again.public, again.comment) == (key.public, key.comment)
    check_signs(again)


def test_a_dump_takes_its_randomness_from_outside(key_of) -> None:
    key = key_of("ssh-ed25519")

    def dump(start: int) -> bytes:
        counter = itertools.count(start)
        return dump_private(
            key, "secret", rounds=1, random=lambda n: bytes(next(counter) for _ in range(n))
        )

    assert dump(0) == dump(0)
    assert dump(0) != dump(1)


def test_an_empty_passphrase_is_none(key_of) -> None:
    assert (
        load_private(dump_private(key_of("ssh-ed25519"), "")).public == key_of("ssh-ed25519").public
    )


@pytest.mark.parametrize("rounds", [0, -1, openssh.MAXIMUM_ROUNDS + 1])
def test_a_dump_bounds_the_rounds(rounds: int, key_of) -> None:
    with pytest.raises(KeyFormatError, match="rounds"):
        dump_private(key_of("ssh-ed25519"), "secret", rounds=rounds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is empty"),
        (b"\xff" * 100, "no BEGIN line"),
        (b"PuTTY-User-Key-File-3: ssh-ed25519\n", "cut off"),
        (b"PuTTY-User-Key-File-1: ssh-rsa\n", "save the key anew with puttygen"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "cut off"),
        (b"-----BEGIN RSA PRIVATE KEY-----\n", "damaged"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "X.509 certificate"),
        (b"x" * (256 * 1024 + 1), "too many for a private key"),
    ],
    ids=range(8),
)
def test_texts_that_are_no_key_files(text: bytes, says: str) -> None:
    with pytest.raises(KeyFormatError, match=says):
        load_private(text)


def test_one_half_where_the_other_is_needed(key_of) -> None:
    key = key_of("ecdsa-sha2-nistp256")
    certificate = Certificate.issue(key.public, key)
    for form in get_args(PublicKeyFormat):
        with pytest.raises(KeyFormatError, match=r"this is a public key, and .* without \.pub"):
            load_private(dump_public(key.public, format=form))
    with pytest.raises(KeyFormatError, match=r"this is a certificate, .* without -cert\.pub"):
        load_private(dump_public(certificate))
    for form in get_args(PrivateKeyFormat):
        with pytest.raises(KeyFormatError, match="this is a private key, and a public one is"):
            load_public(dump_private(key, format=form))


def test_a_public_file_has_a_bound() -> None:
    with pytest.raises(KeyFormatError, match="too many for a public key"):
        load_public(b"ssh-rsa " + b"A" * (256 * 1024))


def test_the_halves_of_openssh_files_match(key_of) -> None:
    one, other = generate("ssh-ed25519"), generate("ssh-ed25519")
    data = blocks(dump_private(one))[0].data()
    blob, seed = one.public.blob, one.secret_fields()[40:72]
    for part, by in ((blob, other.public.blob), (seed, other.secret_fields()[40:72])):
        assert data.count(part) in (1, 2)
        with pytest.raises(KeyFormatError, match="do not match"):
            load_private(wrapped("OPENSSH PRIVATE KEY", data.replace(part, by, 1)))


@pytest.fixture(scope="module")
def samples(keygen, openssh_types: frozenset[str], tmp_path_factory) -> list[bytes]:
    """One small file of each kind and form, half of them encrypted."""
    files = []
    for i, (name, form) in enumerate(KINDS):
        if name == "dsa" and "ssh-dss" not in openssh_types:
            continue
        file = tmp_path_factory.mktemp("samples") / "key"
        passphrase = "secret" if i % 2 else ""
        keygen(
            "-q", "-a", "1", "-t", name, "-b", NAMES[name], "-m", form, "-N", passphrase, "-f", file
        )
        files.append(file.read_bytes())
    return files


@pytest.fixture(scope="module", autouse=True)
def _few_rounds() -> Iterator[None]:
    """Damage must not ask for rounds that take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openssh, "MAXIMUM_ROUNDS", 64)
        patch.setattr(pem, "MAXIMUM_ITERATIONS", 4096)
        yield


damage = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=4)


def load_or_refuse(text: bytes, passphrase: str) -> None:
    try:
        check_signs(load_private(text, passphrase))
    except UnusableKey:
        return


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, len(KINDS) - 1), changes=damage, cut=st.integers(0, 4096))
def test_damaged_files_load_or_are_refused(
    which: int, changes: list[tuple[int, int]], cut: int, samples: list[bytes]
) -> None:
    text = bytearray(samples[which % len(samples)])
    for position, byte in changes:
        text[position % len(text)] = byte
    load_or_refuse(bytes(text), "secret")
    load_or_refuse(bytes(text[: cut % len(text)]), "secret")


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, len(KINDS) - 1), changes=damage, cut=st.integers(0, 4096))
def test_damage_below_the_armor_loads_or_is_refused(
    which: int, changes: list[tuple[int, int]], cut: int, samples: list[bytes]
) -> None:
    begin, *lines, end, _ = samples[which % len(samples)].split(b"\n")
    headers = lines[: lines.index(b"") + 1] if b"" in lines else []
    body = lines[len(headers) :]
    data = bytearray(base64.b64decode(b"".join(body)))
    for position, byte in changes:
        data[position % len(data)] = byte
    for damaged in (data, data[: cut % len(data)]):
        wrapped = base64.encodebytes(damaged).strip()
        load_or_refuse(b"\n".join([begin, *headers, wrapped, end, b""]), "secret")
