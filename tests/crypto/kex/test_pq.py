"""Post-quantum hybrids: sizes, the combined secret, malformed values, a package that is missing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from os import urandom
from types import SimpleNamespace

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from pqcrypto.kem import sntrup_761

from nacre.crypto.kex import hybrid
from nacre.crypto.kex import pq as kex_pq
from nacre.crypto.kex.curves import NistCurve
from nacre.crypto.kex.hybrid import PARTS
from nacre.crypto.kex.method import KexMethod
from nacre.crypto.kex.pq import METHODS, missing
from nacre.crypto.kex.x25519 import X25519
from nacre.errors import ConfigurationError, KexFailed
from nacre.protocol import options
from nacre.protocol.phases import Role
from nacre.ssh2.transport import negotiate
from nacre.wire.codec import string

SIZES = {
    "mlkem768x25519-sha256": (1184 + 32, 1088 + 32, 32),
    "mlkem768nistp256-sha256": (1184 + 65, 1088 + 65, 32),
    "mlkem1024nistp384-sha384": (1568 + 97, 1568 + 97, 48),
    "sntrup761x25519-sha512": (1158 + 32, 1039 + 32, 64),
    "sntrup761x25519-sha512@openssh.com": (1158 + 32, 1039 + 32, 64),
}
SNTRUP = [name for name in METHODS if name.startswith("sntrup")]
EACH = pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)


@EACH
def test_the_sizes_are_those_of_the_drafts(method: KexMethod) -> None:
    public, reply, secret = SIZES[method.name]
    client = method.initiate(urandom)
    answer, k = method.respond(client.public, urandom)
    assert (len(client.public), len(answer), len(k)) == (public, reply, 4 + secret)
    assert client.finish(answer) == k


@EACH
def test_k_is_the_hash_of_the_kems_secret_and_the_curves(method: KexMethod) -> None:
    """Computed once more, by hand, at the server's end."""
    parts, _, rest = method.name.partition("-")
    kem, make = PARTS[parts]
    client = method.initiate(urandom)
    secret, ciphertext = kem.encapsulate(client.public[: kem.public])
    curve = make(urandom)
    shared = curve.secret(client.public[kem.public :])
    digest = hashlib.new(rest.partition("@")[0], secret + shared).digest()
    assert client.finish(ciphertext + curve.public) == string(digest)


@EACH
@pytest.mark.parametrize("change", [-1, 1])
def test_values_of_another_size_are_refused(method: KexMethod, change: int) -> None:
    public, reply, _ = SIZES[method.name]
    with pytest.raises(KexFailed, match="hybrid value"):
        method.respond(bytes(public + change), urandom)
    with pytest.raises(KexFailed, match="hybrid value"):
        method.initiate(urandom).finish(bytes(reply + change))


@EACH
def test_a_value_that_is_no_point_is_refused(method: KexMethod) -> None:
    client = method.initiate(urandom)
    answer, _ = method.respond(client.public, urandom)
    kem, make = PARTS[method.name.partition("-")[0]]
    size = len(make(urandom).public)
    with pytest.raises(KexFailed):
        method.respond(client.public[: kem.public] + bytes(size), urandom)
    with pytest.raises(KexFailed):
        client.finish(answer[: kem.ciphertext] + bytes(size))


@pytest.mark.parametrize("name", ["mlkem768nistp256-sha256", "mlkem1024nistp384-sha384"])
def test_a_kem_key_that_is_not_reduced_is_refused(name: str) -> None:
    kem, make = PARTS[name.partition("-")[0]]
    with pytest.raises(KexFailed, match="malformed"):
        METHODS[name].respond(b"\xff" * kem.public + make(urandom).public, urandom)


@EACH
def test_a_changed_ciphertext_gives_another_secret(method: KexMethod) -> None:
    """Implicit rejection: it is no error, and the signature over the hash does not verify."""
    client = method.initiate(urandom)
    answer, k = method.respond(client.public, urandom)
    assert client.finish(bytes((answer[0] ^ 1,)) + answer[1:]) != k


def test_the_curves_secrets_have_their_full_length() -> None:
    """A leading zero stays: the secret is no mpint inside a hybrid."""
    for _ in range(600):
        one, other = NistCurve("nistp256", urandom), NistCurve("nistp256", urandom)
        if (secret := one.secret(other.public))[0] == 0:
            break
    assert len(secret) == 32
    assert len(X25519(urandom).secret(X25519(urandom).public)) == 32


def test_the_package_has_the_sizes_of_sntrup761() -> None:
    sizes = sntrup_761.PUBLIC_KEY_SIZE, sntrup_761.CIPHERTEXT_SIZE, sntrup_761.SHARED_SECRET_SIZE
    assert sizes == (1158, 1039, 32)


def test_what_is_missing_is_not_offered_and_naming_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kex_pq, "PathFinder", SimpleNamespace(find_spec=lambda name: None))
    absent = {name: package for name, m in METHODS.items() if (package := missing(m))}
    assert absent == dict.fromkeys(SNTRUP, "pqcrypto")
    monkeypatch.setattr(options, "_MISSING", absent)
    assert not set(SNTRUP) & set(options.algorithms().kex)
    assert "mlkem768x25519-sha256" in options.algorithms().kex
    for choice in (SNTRUP[0], f"+{SNTRUP[1]}", [SNTRUP[0]]):
        with pytest.raises(ConfigurationError, match=r"pip install 'nacre\[pq\]'"):
            options.algorithms(kex=choice)
    assert options.algorithms(kex=f"-{SNTRUP[0]}").kex


def test_ml_kem_is_not_offered_where_the_library_was_built_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lacking(seed: bytes) -> None:
        raise UnsupportedAlgorithm("ML-KEM-768 is not supported by this backend.")

    assert hybrid.ml_kem_supported.__wrapped__()
    monkeypatch.setattr(hybrid, "MLKEM768PrivateKey", SimpleNamespace(from_seed_bytes=lacking))
    assert not hybrid.ml_kem_supported.__wrapped__()
    monkeypatch.setattr(hybrid, "ml_kem_supported", lambda: False)
    chosen = options.algorithms(kex=[*METHODS, "curve25519-sha256"])
    negotiate._ours.cache_clear()
    try:
        lists, _ = negotiate.kexinit(chosen, ("ssh-ed25519",), Role.CLIENT, bytes(16))
    finally:
        negotiate._ours.cache_clear()
    assert lists.kex[:-2] == (*SNTRUP, "curve25519-sha256")


@pytest.mark.slow
def test_the_package_is_loaded_when_it_is_chosen_alone() -> None:
    program = (
        "import sys, nacre.testing as t; from nacre.protocol.options import algorithms as a\n"
        "t.Pair().run(); print('pqcrypto' in sys.modules)\n"
        "t.Pair(algorithms=a(kex='sntrup761x25519-sha512')).run(); print('pqcrypto' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "True"]
