"""Key files that went wrong: a key that works, or one of the documented errors."""

from __future__ import annotations

import base64
import random
import re
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from fuzz.mutate import BUDGET, mutated, seeds
from nacre import (
    PrivateKey,
    PrivateKeyFormat,
    PublicKey,
    PublicKeyFormat,
    dump_private,
    dump_public,
    generate,
    load_private,
    load_public,
)
from nacre.crypto import argon2, pem
from nacre.errors import UnusableKey
from nacre.keys.files import is_private, public_half
from nacre.keys.formats import openssh
from nacre.keys.formats.armor import blocks, folded
from nacre.keys.key import KEY_TYPES
from nacre.limits import MIB
from nacre.wire.codec import WireReader, string, u32
from nacre.wire.text import safe

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

SECRET = "secret"

_WORDS = [
    *(b"-----BEGIN PUBLIC KEY-----\n", b"-----END OPENSSH PRIVATE KEY-----\n", b"\r", b"\\\n"),
    *(b"Proc-Type: 4,ENCRYPTED\n", b"DEK-Info: AES-128-CBC,00\n", b"Comment: ", b"\xef\xbb\xbf"),
    *(b"Argon2-Memory: 4294967295\n", b"Private-Lines: 99999999\n", b"\xff\xfe", b"=", b"\0"),
]


COMPOSITE = "ssh-mldsa44-ed25519@openssh.com"
"""The type of keys that has OpenSSH's private format alone, and no public one in PEM."""


@cache
def keys() -> list[PrivateKey]:
    return [generate(type, bits=1024 if type == "ssh-rsa" else None) for type in KEY_TYPES]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a mutation asks for may cost a few milliseconds, not the seconds that are allowed."""
    monkeypatch.setattr(openssh, "MAXIMUM_ROUNDS", 8)
    monkeypatch.setattr(pem, "MAXIMUM_ITERATIONS", 4096)
    monkeypatch.setattr(pem, "MAXIMUM_SCRYPT", 1 << 13)
    monkeypatch.setattr(argon2, "MAXIMUM_WORK", 1 << 13)
    monkeypatch.setattr(argon2, "MAXIMUM_MEMORY", 1 << 10)
    monkeypatch.setattr("nacre.keys.formats.putty.MEMORY", 64)
    monkeypatch.setattr("nacre.keys.formats.putty.PASSES", 1)


def private(*forms: PrivateKeyFormat) -> Callable[[], list[bytes]]:
    """Return what makes the files of each family in some formats, plain and encrypted."""

    def made() -> list[bytes]:
        return list(_private(forms))

    return made


def _private(forms: tuple[PrivateKeyFormat, ...]) -> Iterator[bytes]:
    for key in keys():
        for form in forms:
            if form == "pem" and key.public.type in ("ssh-ed25519", "ssh-ed448"):
                continue
            if form != "openssh" and key.public.type == COMPOSITE:
                continue
            for passphrase in ("", SECRET):
                yield dump_private(key, passphrase, format=form, rounds=1)


def public() -> list[bytes]:
    forms: tuple[PublicKeyFormat, ...] = ("openssh", "rfc4716", "pem", "pkcs8")
    return [
        dump_public(key.public, "a comment", format=form)
        for key in keys()
        for form in (forms[:2] if key.public.type == COMPOSITE else forms)
    ]


def rsa1() -> list[bytes]:
    key = generate("rsa1", bits=1024, comment="old")
    return [dump_private(key), dump_private(key, SECRET)]


def sshcom() -> list[bytes]:
    """A DSA key in SSH.COM's format, made by hand: nacre does not write it."""
    reader = WireReader(keys()[KEY_TYPES.index("ssh-dss")].secret_fields())
    p, q, g, y, x = (reader.mpint() for _ in range(5))
    numbers = (u32(n.bit_length()) + n.to_bytes((n.bit_length() + 7) // 8, "big") for n in
               (p, g, q, y, x))  # fmt: skip
    body = string(b"dl-modp{sign{dsa-nist-sha1},dh{plain}}") + string(b"none")
    body += string(string(u32(0) + b"".join(numbers)))
    data = u32(0x3F6FF9EB) + u32(len(body) + 8) + body
    edges = (b"---- %b SSH2 ENCRYPTED PRIVATE KEY ----\n" % word for word in (b"BEGIN", b"END"))
    return [folded(data, 70).join(edges)]


FILES: dict[str, Callable[[], list[bytes]]] = {
    "openssh-key-v1": private("openssh"),
    "PEM and PKCS#8": private("pem", "pkcs8"),
    "ppk": private("ppk2", "ppk3"),
    "public": public,
    "RSA1": rsa1,
    "SSH.COM": sshcom,
}


def changed(text: bytes, draw: random.Random) -> bytes:
    """Return a file with changed text, or with other bytes under its base64."""
    found = blocks(text)
    if found and draw.random() < 0.6:
        old = found[0].base64
        body = folded(mutated(base64.b64decode(old), draw), 64)
        at = text.find(old[:20])
        text = text[:at] + body + text[text.rfind(b"\n--") + 1 :]
    elif draw.random() < 0.5:
        at = draw.randrange(len(text))
        text = text[:at] + draw.choice(_WORDS) + text[at:]
    elif numbers := list(re.finditer(rb"\d+", text)):
        one = draw.choice(numbers)
        other = draw.choice((0, 1, 2, 255, 1 << 16, (1 << 32) - 1, 1 << 64))
        text = text[: one.start()] + b"%d" % other + text[one.end() :]
    return mutated(text, draw) if draw.random() < 0.5 else text


def check(text: bytes, draw: random.Random) -> None:
    """Read a file as each caller does; what is read must work."""
    is_private(text)
    readers: list[Callable[[], object]] = [
        lambda: load_private(text, draw.choice((None, SECRET, "wrong"))),
        lambda: load_public(text),
        lambda: public_half(text),
    ]
    for read in readers:
        try:
            found = read()
        except UnusableKey as error:
            said = str(error)
            assert 0 < len(said) < 400
            assert safe(said, len(said), keep="\\") == said
            continue
        if isinstance(found, PrivateKey) and found.public.type != "rsa1":
            algorithm = found.public.signature_algorithms[0]
            assert found.public.verify(found.sign(b"data", algorithm), b"data", algorithm)
            found = found.public
        if isinstance(found, PublicKey):
            assert load_public(dump_public(found))[0] == found


@pytest.mark.parametrize("kind", FILES)
def test_key_files(kind: str) -> None:
    files = FILES[kind]()
    for seed in seeds():
        draw = random.Random(seed)
        text = changed(draw.choice(files), draw)
        watched = seed % 20 == 0
        if watched:
            tracemalloc.start()
        try:
            check(text, draw)
            if watched:
                assert tracemalloc.get_traced_memory()[1] < 8 * MIB + 40 * len(text)
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}")
            raise
        finally:
            if watched:
                tracemalloc.stop()
