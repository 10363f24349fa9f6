"""Key exchange methods: both sides agree, known vectors, and what is refused."""

from __future__ import annotations

import hashlib
import random
from os import urandom
from struct import pack

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.kex import pq as kex_pq
from nacre.crypto.kex.dh import DhMethod, dh_gex
from nacre.crypto.kex.groups import modp
from nacre.crypto.kex.method import KexMethod
from nacre.crypto.packets.seal import Random
from nacre.crypto.registry import KEX
from nacre.errors import KexFailed, LocalProtocolError
from nacre.wire.codec import WireReader, mpint, string

GEX = "diffie-hellman-group-exchange-sha256"
METHODS = [method for method in KEX.values() if method.family != "dh-gex"]
CURVES = {"ecdh-sha2-nistp256": 256, "ecdh-sha2-nistp384": 384, "ecdh-sha2-nistp521": 521}
HYBRID = KEX["mlkem768x25519-sha256"]
HYBRIDS = list(kex_pq.METHODS.values())
# The package of sntrup761 draws all of its randomness from the system.
DETERMINISTIC = [method for method in METHODS if not method.package]


def fixed(value: bytes) -> Random:
    """Return a random source that gives ``value``, with zeros before it."""
    return lambda size: value.rjust(size, b"\0")


def refused(method: KexMethod, public: bytes) -> None:
    """Both sides refuse ``public``."""
    with pytest.raises(KexFailed):
        method.respond(public, urandom)
    with pytest.raises(KexFailed):
        method.initiate(urandom).finish(public)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_both_sides_get_the_same_secret(method: KexMethod) -> None:
    client = method.initiate(urandom)
    public, k = method.respond(client.public, urandom)
    assert client.finish(public) == k
    assert method.respond(client.public, urandom)[1] != k
    reader = WireReader(k)
    content = reader.string()
    reader.end()
    if method in HYBRIDS:
        assert len(content) == hashlib.new(method.hash_name).digest_size
    else:
        assert mpint(int.from_bytes(content, "big")) == k


@pytest.mark.slow
@pytest.mark.parametrize("method", DETERMINISTIC, ids=lambda method: method.name)
def test_the_randomness_is_what_is_handed_in(method: KexMethod) -> None:
    first, second = (method.initiate(random.Random(5).randbytes).public for _ in range(2))
    assert first == second
    assert method.initiate(random.Random(6).randbytes).public != first


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("value", [b"", b"\0", b"\x01", bytes(32), bytes(65)])
def test_values_that_are_none(method: KexMethod, value: bytes) -> None:
    refused(method, value)


def test_rfc_7748_vector() -> None:
    """Section 6.1."""
    alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
    bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
    method = KEX["curve25519-sha256"]
    client = method.initiate(fixed(bytes.fromhex(alice)))
    public, k = method.respond(client.public, fixed(bytes.fromhex(bob)))
    assert client.public.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert k == client.finish(public) == mpint(int(shared, 16))


@pytest.mark.parametrize(
    "point",
    [
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        2**255 - 20,
        2**255 - 19,
        2**255 - 18,
    ],
)
def test_x25519_points_of_small_order_are_refused(point: int) -> None:
    value = point.to_bytes(32, "little")
    refused(KEX["curve25519-sha256"], value)
    kem_public = HYBRID.initiate(urandom).public[:1184]
    with pytest.raises(KexFailed):
        HYBRID.respond(kem_public + value, urandom)
    with pytest.raises(KexFailed):
        HYBRID.initiate(urandom).finish(bytes(1088) + value)


@pytest.mark.parametrize("size", [31, 33])
def test_x25519_values_of_another_size(size: int) -> None:
    refused(KEX["curve25519-sha256@libssh.org"], b"\x09" * size)


def test_rfc_5903_vector() -> None:
    """Section 8.1: P-256."""
    order = ec.SECP256R1.group_order
    i = 0xC88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433
    r = 0xC6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53
    shared = 0xD6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE
    method = KEX["ecdh-sha2-nistp256"]
    assert 0 < i < order
    # A private key is 1 + the drawn number modulo (order - 1).
    initiator = method.initiate(fixed((i - 1).to_bytes(32, "big")))
    assert initiator.public.hex() == (
        "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
        "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3"
    )
    public, k = method.respond(initiator.public, fixed((r - 1).to_bytes(32, "big")))
    assert k == initiator.finish(public) == mpint(shared)


@pytest.mark.parametrize(("name", "bits"), CURVES.items())
def test_ecdh_refuses_what_is_no_uncompressed_point(name: str, bits: int) -> None:
    curve: ec.EllipticCurve = {
        256: ec.SECP256R1(),
        384: ec.SECP384R1(),
        521: ec.SECP521R1(),
    }[bits]
    key = ec.generate_private_key(curve).public_key()
    size = (bits + 7) // 8
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert KEX[name].respond(point, urandom)
    moved = bytearray(point)
    moved[-1] ^= 1
    for value in (
        key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        bytes(moved),
        b"\x04" + bytes(2 * size),
        b"\x04" + b"\xff" * (2 * size),
        b"\x06" + point[1:],
        point + b"\0",
        point[:-1],
    ):
        refused(KEX[name], value)


def test_hybrid_layout() -> None:
    """draft-ietf-sshm-mlkem-hybrid-kex: the ML-KEM part first, K a string of the joint hash."""
    draws = random.Random(1)
    seed, client_scalar, server_scalar = (draws.randbytes(size) for size in (64, 32, 32))
    client = HYBRID.initiate(random.Random(1).randbytes)
    kem = MLKEM768PrivateKey.from_seed_bytes(seed)
    curve = X25519PrivateKey.from_private_bytes(client_scalar)
    assert client.public == (
        kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    )
    reply, k = HYBRID.respond(client.public, fixed(server_scalar))
    server = X25519PrivateKey.from_private_bytes(server_scalar).public_key()
    assert len(reply) == 1088 + 32
    assert reply[1088:] == server.public_bytes_raw()
    joint = kem.decapsulate(reply[:1088]) + curve.exchange(server)
    assert client.finish(reply) == k == string(hashlib.sha256(joint).digest())


def test_hybrid_refusals() -> None:
    client = HYBRID.initiate(urandom)
    reply, k = HYBRID.respond(client.public, urandom)
    for wrong in (reply[:-1], reply + b"\0", reply[:32], client.public):
        with pytest.raises(KexFailed):
            client.finish(wrong)
    for wrong in (client.public[:-1], client.public + b"\0", reply):
        with pytest.raises(KexFailed):
            HYBRID.respond(wrong, urandom)
    # FIPS 203 section 7.2: numbers of the encapsulation key that are not below 3329.
    with pytest.raises(KexFailed):
        HYBRID.respond(b"\xff" * 1152 + client.public[1152:], urandom)
    # A damaged ciphertext gives another secret, not an error (implicit rejection).
    assert client.finish(bytes((reply[0] ^ 1,)) + reply[1:]) != k


@pytest.mark.parametrize(("number", "bits"), [(1, 1024), (14, 2048)])
def test_dh_range(number: int, bits: int) -> None:
    p = modp(bits)
    method = KEX[f"diffie-hellman-group{number}-sha1"]
    for value in (-p, -2, -1, 0, 1, p - 1, p, p + 1, p * 2):
        refused(method, mpint(value)[4:])
    for value in (2, p - 2):
        assert method.respond(mpint(value)[4:], urandom)


@given(st.integers(min_value=2, max_value=modp(1024) - 2))
def test_dh_is_exponentiation(y: int) -> None:
    p = modp(1024)
    x = (1 << 511) + 12345
    method = KEX["diffie-hellman-group1-sha1"]
    public, k = method.respond(mpint(y)[4:], fixed(x.to_bytes(64, "big")))
    assert public == mpint(pow(2, x, p))[4:]
    assert k == mpint(pow(y, x, p))


def test_group_exchange() -> None:
    method = dh_gex(GEX, modp(2048), 5)
    assert isinstance(method, DhMethod)
    assert (method.name, method.hash_name, method.family) == (GEX, "sha256", "dh-gex")
    client = method.initiate(fixed(b"\x80" + bytes(63)))
    assert client.public == mpint(pow(5, 1 << 511, modp(2048)))[4:]
    public, k = method.respond(client.public, urandom)
    assert client.finish(public) == k
    refused(method, mpint(modp(2048) - 1)[4:])


def test_group_exchange_without_a_group() -> None:
    with pytest.raises(LocalProtocolError):
        KEX[GEX].initiate(urandom)
    with pytest.raises(LocalProtocolError):
        KEX[GEX].respond(b"\x02", urandom)


def test_a_secret_with_its_top_bit_set_is_a_positive_mpint() -> None:
    method = KEX["curve25519-sha256"]
    draws = random.Random(2).randbytes
    secrets = [method.respond(method.initiate(draws).public, draws)[1] for _ in range(40)]
    padded = [k for k in secrets if k.startswith(pack(">IB", 33, 0))]
    assert padded
    assert all(k[5] >= 0x80 for k in padded)


def test_a_trivial_secret_is_refused() -> None:
    """In a group that is not of a safe prime, whose peer picks a value of order 4."""
    method = dh_gex(GEX, 241, 7)
    order_four = pow(7, 240 // 4, 241)
    assert pow(order_four, 4, 241) == 1
    with pytest.raises(KexFailed, match="trivial"):
        method.respond(mpint(order_four)[4:], fixed(b"\x80" + bytes(63)))
