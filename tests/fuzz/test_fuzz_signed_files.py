"""Damaged certificates, KRLs, signatures of files and lists of signers: documented errors only."""

from __future__ import annotations

import random
import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest

from fuzz.mutate import BUDGET, mutated, seeds
from nacre.errors import KeyFormatError, SignatureError
from nacre.keys import Certificate, decode_public, generate
from nacre.keys.certificate import option
from nacre.keys.signed.allowed_signers import AllowedSigners
from nacre.keys.signed.revocation import RevocationList, load
from nacre.keys.signed.sshsig import BEGIN, END, SSHSignature, sign
from nacre.limits import MIB
from nacre.wire.codec import boolean, string, text, u8, u64

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

CA = generate("ssh-ed25519")
KEYS = [generate("ssh-ed25519"), generate("ecdsa-sha2-nistp256"), generate("ssh-rsa", bits=1024)]
CERTIFICATES = [
    Certificate.issue(
        key.public,
        CA,
        key_id="an id",
        principals=["alice", "bob"],
        serial=7,
        valid_before=1 << 40,
        critical_options={"force-command": option("ls"), "source-address": option("::1/128")},
    )
    for key in KEYS
]
NOW = 1_700_000_000


def _each(case: Callable[[random.Random], int]) -> None:
    """Run cases; some are watched for the memory they take, by the size that a case returns."""
    for seed in seeds():
        watched = seed % 50 == 0
        if watched:
            tracemalloc.start()
        try:
            size = case(random.Random(seed))
            if watched:
                assert tracemalloc.get_traced_memory()[1] < 8 * MIB + 40 * size
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}")
            raise
        finally:
            if watched:
                tracemalloc.stop()


def test_certificates() -> None:
    def case(draw: random.Random) -> int:
        whole = draw.choice(CERTIFICATES)
        signature = string(whole.signature)
        data = mutated(whole.blob[: -len(signature)], draw)
        if draw.random() < 0.7:
            # Signed anew, so that more than the signature is looked at.
            signature = string(CA.sign(data, "ssh-ed25519"))
        try:
            found = decode_public(data + signature)
        except KeyFormatError:
            return len(data)
        if isinstance(found, Certificate):
            found.refusal("user", "alice", now=NOW)
            found.refusal("host", "alice", now=NOW, patterns=True)
            assert decode_public(found.blob) == found
        return len(data)

    _each(case)


def _krl() -> bytes:
    made = RevocationList()
    made.version, made.comment = 3, "a comment"
    made.add_key(KEYS[0].public)
    made.add_sha1(KEYS[1].public)
    made.add_sha256(KEYS[2].public)
    for authority in (CA.public, None):
        for low, high in ((1, 1), (3, 9), (60, 70), (1 << 33, 1 << 60)):
            made.add_serials(authority, low, high)
        made.add_key_id(authority, "an id")
    extension = text("a@b") + boolean(False) + string(b"x")
    return made.encode(NOW) + u8(255) + string(extension)


KRLS = [_krl(), RevocationList().encode(NOW, [CA, KEYS[1]])]
_SERIALS = [u64(n) for n in (0, 1, (1 << 32) - 1, 1 << 32, (1 << 63), (1 << 64) - 1)]


def test_krls() -> None:
    def case(draw: random.Random) -> int:
        data = draw.choice(KRLS)
        if draw.random() < 0.5:
            at = draw.randrange(len(data) - 8)
            data = data[:at] + draw.choice(_SERIALS) + data[at + 8 :]
        data = mutated(data, draw)
        for certificate in CERTIFICATES:
            reason = load(data).refusal(certificate)
            assert reason is None or len(reason) < 500
        try:
            found = RevocationList.decode(data)
        except KeyFormatError:
            return len(data)
        assert str(found).startswith("# KRL version ")
        again = RevocationList.decode(found.encode(found.generated))
        assert again.encode(0) == found.encode(0)
        return len(data)

    _each(case)


SIGNATURES = [sign(key, b"a message", "file") for key in KEYS]


def test_signatures_of_files() -> None:
    def case(draw: random.Random) -> int:
        armored = draw.choice(SIGNATURES).armored()
        if draw.random() < 0.3:
            data = mutated(armored, draw)
        else:
            body = b"".join(armored.split(b"\n")[1:-2])
            data = b"\n".join([BEGIN, b64encode(mutated(b64decode(body), draw)), END, b""])
        try:
            found = SSHSignature.parse(data)
        except SignatureError:
            return len(data)
        if found.verify(b"a message", "file"):
            assert found.key in [key.public for key in KEYS]
        return len(data)

    _each(case)


SIGNERS = "\n".join(
    [
        "# comment",
        f"alice,*@x {KEYS[0].public} a comment",
        f'"with blank" namespaces="file,!git",valid-after="20200101Z" {KEYS[1].public}',
        f'* cert-authority,valid-before="20300101123000" {CA.public}',
    ]
).encode()
_BETWEEN = [b'"', b",", b"=", b" ", b"\t", b"\n", b"*", b"!", b"\\", b"cert-authority"]


def test_lists_of_signers() -> None:
    def case(draw: random.Random) -> int:
        at = draw.randrange(len(SIGNERS))
        data = SIGNERS[:at] + draw.choice(_BETWEEN) + SIGNERS[at:]
        if draw.random() < 0.7:
            data = mutated(data, draw)
        found = AllowedSigners(data)
        reported: list[str] = []

        def report(number: int, reason: str) -> None:
            assert number > 0
            reported.append(reason)

        for signature in SIGNATURES:
            found.allows(signature, "alice", at=NOW, report=report)
            found.principals_of(signature.key, at=NOW, report=report)
        found.principals_of(CERTIFICATES[0], at=NOW, report=report)
        found.lists_of("a@x", report=report)
        assert all(len(reason) < 500 for reason in reported)
        return len(data)

    _each(case)
