from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.signatures.dsa import DSAParameters, DSASigner, DSAVerifier
from nacre.crypto.signatures.ecdsa import ECDSASigner, ECDSAVerifier
from nacre.crypto.signatures.rsa import RSANumbers, RSASigner, RSAVerifier
from nacre.errors import KeyFormatError

RSA_KEY = RSASigner.generate(1024)
DSA_KEY = DSASigner.generate(1024)
ECDSA_KEY = ECDSASigner.generate("nistp256")


@pytest.mark.parametrize("hash_name", ["sha1", "sha256", "sha512"])
def test_rsa_signs_with_each_hash_and_only_that_one_verifies(hash_name: str) -> None:
    signature = RSA_KEY.sign(b"data", hash_name)
    verified = {
        h for h in ("sha1", "sha256", "sha512") if RSA_KEY.verifier.verify(signature, b"data", h)
    }
    assert verified == {hash_name}


def test_rsa_puts_back_leading_zeros_that_a_peer_left_out() -> None:
    data = next(
        data
        for data in (str(i).encode() for i in range(10_000))
        if RSA_KEY.sign(data, "sha256")[0] == 0
    )
    short = RSA_KEY.sign(data, "sha256").lstrip(b"\0")
    assert RSA_KEY.verifier.verify(short, data, "sha256")
    assert not RSA_KEY.verifier.verify(b"\0" + RSA_KEY.sign(data, "sha256"), data, "sha256")


@pytest.mark.parametrize("curve", ["nistp256", "nistp384", "nistp521"])
def test_ecdsa_signs_on_each_curve(curve: str) -> None:
    signer = ECDSASigner.generate(curve)
    r, s = signer.sign(b"data")
    verifier = ECDSAVerifier(curve, signer.verifier.point)
    assert verifier.verify(r, s, b"data")
    assert not verifier.verify(r, s, b"other")
    assert not verifier.verify(s, r, b"data")
    assert ECDSASigner(curve, signer.secret).verifier.point == signer.verifier.point


def test_dsa_signs() -> None:
    r, s = DSA_KEY.sign(b"data")
    assert DSA_KEY.verifier.verify(r, s, b"data")
    assert not DSA_KEY.verifier.verify(r, s, b"other")


numbers = st.integers(-(1 << 600), 1 << 600)


@given(numbers, numbers)
def test_no_pair_of_numbers_makes_a_verifier_raise(r: int, s: int) -> None:
    assert not ECDSA_KEY.verifier.verify(r, s, b"data")
    if r >= 0 and s >= 0:
        assert not DSA_KEY.verifier.verify(r, s, b"data")


@given(st.binary(max_size=200))
def test_no_bytes_make_a_verifier_raise(signature: bytes) -> None:
    assert not RSA_KEY.verifier.verify(signature, b"data", "sha256")


N = RSA_KEY.numbers.n


@pytest.mark.parametrize(
    ("n", "e"),
    [
        (N, 1),
        (N, 2),
        (N, 65536),
        (N, 0),
        (N, -3),
        (N, 1 << 64 | 1),
        (N + 1, 65537),
        (-N, 65537),
        (0, 65537),
        (1 << 1022 | 1, 65537),
        (1 << 16384 | 1, 65537),
    ],
    ids=range(11),
)
def test_rsa_bounds_the_modulus_and_the_exponent(n: int, e: int) -> None:
    with pytest.raises(KeyFormatError):
        RSAVerifier(n, e)


@pytest.mark.parametrize("field", ["n", "e", "d", "p", "q", "iqmp"])
@pytest.mark.parametrize("change", [lambda v: v + 2, lambda v: -v, lambda _: 1, lambda _: 0])
def test_rsa_numbers_that_do_not_belong_together_are_refused(field: str, change) -> None:
    key = RSA_KEY.numbers
    values = {name: getattr(key, name) for name in ("n", "e", "d", "p", "q", "iqmp")}
    values[field] = change(values[field])
    with pytest.raises(KeyFormatError):
        RSASigner(RSANumbers(**values))


def test_ecdsa_refuses_points_off_the_curve_compressed_and_at_infinity() -> None:
    point = ECDSA_KEY.verifier.point
    for bad in (
        point[:-1] + bytes([point[-1] ^ 1]),
        b"\x02" + point[1:33],
        b"\x00",
        b"",
        point + b"\0",
        b"\x04" + bytes(64),
    ):
        with pytest.raises(KeyFormatError):
            ECDSAVerifier("nistp256", bad)
    with pytest.raises(KeyFormatError):
        ECDSAVerifier("nistp384", point)


@pytest.mark.parametrize("secret", [0, -1, 1 << 256, 1 << 600])
def test_ecdsa_refuses_secrets_out_of_range(secret: int) -> None:
    with pytest.raises(KeyFormatError):
        ECDSASigner("nistp256", secret)


def test_dsa_refuses_parameters_that_are_no_group() -> None:
    group, y = DSA_KEY.verifier.parameters, DSA_KEY.verifier.y
    p, q, g = group.p, group.q, group.g
    for parameters, public in (
        (DSAParameters(p, q, 1), y),
        (DSAParameters(p, q, p - 1), y),
        (DSAParameters(p, q, 0), y),
        (DSAParameters(p, q + 2, g), y),
        (DSAParameters(p + 2, q, g), y),
        (DSAParameters(p, 0, g), y),
        (DSAParameters(0, q, g), y),
        (DSAParameters(-p, -q, g), y),
        (DSAParameters(p << 64, q, g), y),
        (group, 1),
        (group, 0),
        (group, y + 1),
        (group, p),
    ):
        with pytest.raises(KeyFormatError):
            DSAVerifier(parameters, public)
    with pytest.raises(KeyFormatError, match="half of the DSA key do not match"):
        DSASigner(group, y, DSA_KEY.x ^ 1)
