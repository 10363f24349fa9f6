"""RSA1 keys: lines, files, and what SSH-2 makes of them."""

from __future__ import annotations

import hashlib
import random
from functools import cache

import pytest

from nacre.crypto.legacy import challenge_response
from nacre.crypto.signatures.rsa1 import RSA1Signer
from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.keys import (
    PrivateKey,
    authorized_keys,
    decode_public,
    dump_private,
    generate,
    load_private,
    load_public,
)
from nacre.keys.families.rsa1 import RSA1PrivateKey
from nacre.keys.files import is_private, public_half
from nacre.keys.hosts.known_hosts import KnownHosts, Verdict
from nacre.wire.codec import WireReader


@cache
def key() -> RSA1PrivateKey:
    return RSA1PrivateKey(RSA1Signer.generate(768, random.Random(7).randbytes), "a comment")


def test_generate() -> None:
    made = generate("rsa1", bits=1024, comment="me")
    assert isinstance(made, RSA1PrivateKey)
    assert (made.public.type, made.public.bits, made.comment) == ("rsa1", 1024, "me")
    with pytest.raises(KeyFormatError, match="from 1024"):
        generate("rsa1", bits=768)


def test_line() -> None:
    line = f"{key().public} some words"
    bits, e, n, _ = line.split(None, 3)
    assert (int(bits), int(e)) == (768, 65537)
    assert int(n).bit_length() == 768
    assert load_public(line) == (key().public, "some words")


def test_bits_in_a_line_are_not_held_against_it() -> None:
    _, e, n = str(key().public).split()
    assert load_public(f"1024 {e} {n}")[0] == key().public


@pytest.mark.parametrize("line", ["768 65537 4", "768 65537 " + "9" * 6000, "1 2 3 4", "768 65537"])
def test_broken_lines(line: str) -> None:
    with pytest.raises(KeyFormatError):
        load_public(line)


def test_blob() -> None:
    assert decode_public(key().public.blob) == key().public


def test_fingerprint_is_of_modulus_and_exponent() -> None:
    # As `ssh-keygen1 -l -E md5` shows it.
    text = "1024 35 " + str((1 << 1023) + 12345)
    assert load_public(text)[0].fingerprint("md5") == "MD5:" + _md5((1 << 1023) + 12345, 35)


def _md5(n: int, e: int) -> str:
    return hashlib.md5(n.to_bytes(128, "big") + bytes((e,))).digest().hex(":")


@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_file(passphrase: str | None) -> None:
    text = dump_private(key(), passphrase)
    assert text.startswith(b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0")
    assert is_private(text)
    assert public_half(text) == key().public
    loaded = load_private(text, passphrase)
    assert isinstance(loaded, RSA1PrivateKey)
    assert loaded.signer.numbers == key().signer.numbers
    assert loaded.comment == "a comment"


@pytest.mark.parametrize("wrong", [None, "", "wrong"])
def test_file_needs_its_passphrase(wrong: str | None) -> None:
    with pytest.raises(PassphraseRequired):
        load_private(dump_private(key(), "secret"), wrong)


@pytest.mark.parametrize("cut", [33, 40, 100, 180, 300, -8])
def test_file_that_was_cut_off(cut: int) -> None:
    with pytest.raises(KeyFormatError):
        load_private(dump_private(key())[:cut])


def test_damaged_file() -> None:
    text = bytearray(dump_private(key()))
    text[-40] ^= 1
    with pytest.raises(KeyFormatError):
        load_private(bytes(text))


def test_known_hosts() -> None:
    public = key().public
    known = KnownHosts.parse(f"old,[old]:2222 {public} a comment\n@revoked bad {public}\n")
    assert not known.rejected
    assert known.entries[0].comment == "a comment"
    assert known.check("old", 2222, public).verdict is Verdict.TRUSTED
    assert known.check("bad", 22, public).verdict is Verdict.REVOKED
    assert known.check("old", 22, generate("rsa1", bits=1024).public).verdict is Verdict.CHANGED
    assert known.check("other", 22, public).verdict is Verdict.UNKNOWN
    assert KnownHosts.parse(known.line_for("new", 22, public)).check("new", 22, public).lines == (
        1,
    )


def test_authorized_keys() -> None:
    public = key().public
    keys = authorized_keys.parse(f'{public} me\ncommand="x y",no-pty {public} restricted\n')
    assert [entry.comment for entry in keys] == ["me", "restricted"]
    assert keys.entries[1].options.command == "x y"
    found = keys.find(public)
    assert found is not None
    assert found.comment == "me"


def test_a_challenge_is_answered() -> None:
    challenge, session = random.Random(3).randbytes(32), bytes(16)
    text = key().public.verifier.encrypt(challenge, random.Random(4).randbytes)
    signature = WireReader(key().sign(session + text.to_bytes(96, "big"), "rsa1"))
    assert signature.string() == b"rsa1"
    assert signature.string() == challenge_response(challenge, session)


def test_nothing_is_verified() -> None:
    private: PrivateKey = key()
    assert not private.public.verify(private.sign(bytes(112), "rsa1"), bytes(112), "rsa1")
