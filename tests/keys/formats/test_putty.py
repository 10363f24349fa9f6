"""PuTTY's files: damage, costs, certificates. Those that puttygen writes are in tests/interop."""

from __future__ import annotations

import hmac
import re
from hashlib import sha1

import pytest

from nacre.crypto import argon2
from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.keys import Certificate, CertifiedKey, dump_private, generate, load_private
from nacre.keys.files import PrivateKeyFormat, public_half
from nacre.keys.formats.armor import folded
from nacre.keys.key import KEY_TYPES
from nacre.wire.codec import string

KEY = generate("ssh-ed25519", comment="a comment")
PLAIN = dump_private(KEY, format="ppk3")
SEALED = dump_private(KEY, "secret", format="ppk3")
COMPOSITE = "ssh-mldsa44-ed25519@openssh.com"
FORMS: tuple[PrivateKeyFormat, ...] = ("ppk2", "ppk3")


@pytest.mark.parametrize("type", [type for type in KEY_TYPES if type != COMPOSITE])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("passphrase", [None, "pässphrase"])
def test_each_family_comes_back(
    type: str, form: PrivateKeyFormat, passphrase: str | None, key_of
) -> None:
    key = key_of(type)
    text = dump_private(key, passphrase, format=form)
    again = load_private(text, passphrase)
    assert (again.public, again.comment) == (key.public, key.comment)
    assert again.secret_fields() == key.secret_fields()
    assert public_half(text) == key.public
    if passphrase:
        for wrong in (None, "", "other"):
            with pytest.raises(PassphraseRequired):
                load_private(text, wrong)


@pytest.mark.parametrize("form", FORMS)
def test_a_key_with_its_certificate(form: PrivateKeyFormat, key_of) -> None:
    certificate = Certificate.issue(KEY.public, key_of("ssh-rsa"), principals=["alice"])
    text = dump_private(CertifiedKey(certificate, KEY), "secret", format=form)
    assert text.startswith(b"PuTTY-User-Key-File-%b: ssh-ed25519-cert-v01@" % form[-1:].encode())
    again = load_private(text, "secret")
    assert isinstance(again, CertifiedKey)
    assert again.public == certificate
    assert again.private.public == KEY.public


def test_a_line_end_in_the_comment_is_a_blank() -> None:
    key = generate("ssh-ed25519", comment="one\ntwo")
    assert load_private(dump_private(key, format="ppk3")).comment == "one two"


@pytest.mark.parametrize("form", FORMS)
def test_randomness_is_taken_from_outside(form: PrivateKeyFormat) -> None:
    def made(byte: int) -> bytes:
        return dump_private(KEY, "secret", format=form, random=lambda n: bytes([byte]) * n)

    assert made(1) == made(1) != made(2)


def changed(pattern: str, by: str, text: bytes = SEALED) -> bytes:
    after = re.sub(pattern.encode(), by.encode(), text, count=1, flags=re.M)
    assert after != text
    return after


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (changed("-File-3", "-File-1"), "versions 2 and 3"),
        (changed("-File-3", "-File-33"), "versions 2 and 3"),
        (changed("ssh-ed25519$", "ssh-ed448"), "another type than its key"),
        (changed("aes256-cbc", "aes128-cbc"), "cipher aes128-cbc is not supported"),
        (changed("^Comment:", "Remark:"), "its line Comment is missing"),
        (changed("^Public-Lines: 2", "Public-Lines: two"), "Public-Lines is not a number"),
        (changed("^Public-Lines: 2", "Public-Lines: 1"), "damaged"),
        (changed("^Public-Lines: 2", "Public-Lines: 9"), "Public-Lines are not that many lines"),
        (changed("^Public-Lines: 2", "Public-Lines: 99999999"), "more than 4096 Public-Lines"),
        (changed("^Private-Lines: 1\n", "Private-Lines: 0\n"), "Private-MAC is missing"),
        (changed("^Private-MAC: .*", "Private-MAC: xy"), "Private-MAC is not hexadecimal"),
        (changed("(?s)^Private-MAC: .*", ""), "cut off"),
        (changed("Argon2id", "Argon3"), "not Argon2id, Argon2i, Argon2d"),
        (changed("Memory: 8192", "Memory: 1048577"), "too expensive"),
        (changed("Memory: 8192", "Memory: 1048576"), "too expensive"),
        (changed("Passes: 13", "Passes: 999999999"), "too expensive"),
        (changed("Parallelism: 1", "Parallelism: 65"), "too expensive"),
        (changed("Memory: 8192", "Memory: 1"), "less memory, passes, lanes or salt"),
        (changed("Passes: 13", "Passes: 0"), "less memory, passes, lanes or salt"),
        (changed("Salt: .*", "Salt: 00"), "less memory, passes, lanes or salt"),
        (changed("^[^ ]{64}\n[^ ]*$", "AAAA", changed("s: 2", "s: 1")), "damaged"),
    ],
    ids=range(21),
)
def test_damage_has_a_name(text: bytes, says: str) -> None:
    with pytest.raises(KeyFormatError, match=says):
        load_private(text, "secret")


def test_the_private_section_has_whole_blocks() -> None:
    text = re.sub(rb"(?m)^(Private-Lines: 1\n).*", rb"\1AAAA", SEALED)
    with pytest.raises(KeyFormatError, match="private section is cut off"):
        load_private(text, "secret")


def test_a_mac_covers_what_is_not_encrypted() -> None:
    for text in (changed("a comment", "b comment", PLAIN), changed("MAC: .", "MAC: ", PLAIN)):
        with pytest.raises(KeyFormatError, match=r"Private-MAC (does not match|is not hex)"):
            load_private(text)
    with pytest.raises(PassphraseRequired, match="wrong, or the private key is damaged"):
        load_private(changed("a comment", "b comment"), "secret")


def resealed(text: bytes, private: bytes, public: bytes = KEY.public.blob) -> bytes:
    """Return a plain file of version 2 with another private section and the MAC for it."""
    covered = (b"ssh-ed25519", b"none", b"a comment", public, private)
    key = sha1(b"putty-private-key-file-mac-key").digest()
    mac = hmac.digest(key, b"".join(map(string, covered)), "sha1").hex()
    body = folded(private, 64)
    lines = b"Private-Lines: %d\n%bPrivate-MAC: %b\n" % (body.count(b"\n"), body, mac.encode())
    return re.sub(rb"(?s)Private-Lines.*", lines.replace(b"\\", b"\\\\"), text)


def test_halves_that_do_not_match_are_refused_whatever_the_mac() -> None:
    plain = dump_private(KEY, format="ppk2")
    seed = KEY.secret_fields()[40:72]
    assert load_private(resealed(plain, string(seed))).public == KEY.public
    with pytest.raises(KeyFormatError, match="do not match"):
        load_private(resealed(plain, string(bytes(32))))
    with pytest.raises(KeyFormatError, match="a field of the key is cut off"):
        load_private(resealed(plain, b"\0\0\0\x20x"))


def test_costs_within_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for variant in ("Argon2i", "Argon2d"):
        with pytest.raises(PassphraseRequired):
            load_private(changed("Argon2id", variant), "secret")
    monkeypatch.setattr(argon2, "MAXIMUM_WORK", 8192 * 13 - 1)
    with pytest.raises(KeyFormatError, match="too expensive"):
        load_private(SEALED, "secret")
