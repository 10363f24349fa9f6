"""What a token is, and whether it belongs to a key, before its issuer is asked."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from daemon.accounts.directories.token_program import TokenProgram, encoded
from nacre.daemon.accounts.directories.tokens import EXTENSION, KeyToken, commitment, token_in
from nacre.errors import AccountError
from nacre.keys import generate
from nacre.keys.certificate import option
from nacre.limits import DEFAULT_LIMITS


def id_token(**claims: Any) -> str:
    """Return an ID token whose signature nobody looks at here."""
    header = encoded({"alg": "RS256", "kid": "one", "typ": "JWT"})
    return f"{header}.{encoded({'sub': '42', **claims})}.{encoded(b'signature')}"


def made(program: TokenProgram) -> str:
    return program.token(id_token(nonce=program.nonce))


def check(token: str, program: TokenProgram) -> None:
    KeyToken.read(token, jwt).check_key(program.key, jwt)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_token_belongs_to_the_key_that_it_was_made_for(algorithm: str) -> None:
    program = TokenProgram(algorithm)
    token = made(program)
    check(token, program)
    with pytest.raises(AccountError, match="for another key than the certificate"):
        KeyToken.read(token, jwt).check_key(TokenProgram(algorithm).key, jwt)


def test_the_nonce_is_the_hash_that_other_programs_make() -> None:
    # The example of OpenPubkey's description of its tokens.
    header = (
        '{"alg":"ES256","rz":"b9522b5c4cff90687ec6787236184659e077a619b82827227114108440fec26a",'
        '"typ":"CIC","upk":{"alg":"ES256","crv":"P-256","kty":"EC",'
        '"x":"cvqyUFNs1OUdRcDSmzJfS7ynuTHAjlDqoeinCZy_r1Q",'
        '"y":"Whl5jJUIz7ujFvlB5Hzhaz6DIlpyWQmIIA3J7VMj53o"}}'
    )
    made = commitment(base64.urlsafe_b64encode(header.encode()).rstrip(b"=").decode())
    assert made == "fsTLlOIUqtJHomMB2t6HymoAqJi-wORIFtg3y8c65VY"


def test_the_parts_of_a_token() -> None:
    program = TokenProgram()
    issued = id_token(nonce=program.nonce)
    found = KeyToken.read(program.token(issued), jwt)
    assert (found.by_issuer, found.renewed) == (issued, None)
    assert found.by_user.split(".")[:2] == [encoded(program.header), issued.split(".")[1]]
    assert KeyToken.read(program.token(issued, "a.b.c"), jwt).renewed == "a.b.c"
    cosigned = f"{program.token(issued)}:{encoded({'alg': 'ES256', 'typ': 'COS'})}:eA"
    assert KeyToken.read(cosigned, jwt).by_issuer == issued
    _, claims, signature = issued.split(".")
    untyped = program.token(f"{encoded({'alg': 'RS256'})}.{claims}.{signature}")
    assert KeyToken.read(untyped, jwt).by_issuer.endswith(f".{claims}.{signature}")


def spoilt(change: Callable[[list[str]], list[str]]) -> str:
    return ":".join(change(made(TokenProgram()).split(":")))


def header_of(**values: Any) -> str:
    return encoded({"alg": "ES256", **values})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda parts: [""], "not the form"),
        (lambda parts: parts[:1], "not the form"),
        (lambda parts: parts[:4], "not the form"),
        (lambda parts: parts + parts[1:], "not the form"),
        (lambda parts: [*parts, header_of(typ="COS"), "x", header_of(typ="COS")], "not the form"),
        (lambda parts: parts[:3], "one of the user"),
        (lambda parts: [parts[0], *parts[3:]], "needs a signature of the issuer"),
        (lambda parts: [*parts, parts[3], parts[4]], "two signatures that are a CIC"),
        (lambda parts: [*parts, parts[1], parts[2]], "two signatures that are a JWT"),
        (lambda parts: [*parts, header_of(typ="X\x1b"), ""], "a signature of the token is a X"),
        (lambda parts: [*parts, header_of(typ=["CIC"]), ""], "a signature of the token is a"),
        (lambda parts: [*parts, "!", ""], "can't be read"),
        (lambda parts: [*parts, encoded(b"[]"), ""], "can't be read"),
    ],
)
def test_what_is_no_token(change: Any, reason: str) -> None:
    with pytest.raises(AccountError, match=reason):
        KeyToken.read(spoilt(change), jwt)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "the user's signature is by none"),
        ({"alg": "HS256"}, "the user's signature is by HS256"),
        ({"alg": "GQ256"}, "the user's signature is by GQ256"),
        ({"alg": ["ES256"]}, "the user's signature is by"),
        ({"alg": "ES384"}, "lacks upk, its alg, or rz"),
        ({"rz": None}, "lacks upk, its alg, or rz"),
        ({"upk": None}, "lacks upk, its alg, or rz"),
        ({"upk": "key"}, "lacks upk, its alg, or rz"),
        ({"upk": {"alg": "ES256"}}, "can't be verified"),
        ({"upk": {"alg": "ES256", "kty": "oct", "k": "AAAA"}}, "can't be verified"),
        ({"upk": {"alg": "ES256", "kty": ["EC"]}}, "can't be verified"),
        ({"upk": {"alg": "ES256", "kty": "OKP", "crv": "Ed25519", "x": "ä"}}, "can't be verified"),
        ({"upk": {"alg": "ES256", "kty": "OKP", "crv": "Ed25519", "x": "AA"}}, "another key"),
    ],
)
def test_headers_of_users_that_are_not_taken(header: dict[str, Any], reason: str) -> None:
    program = TokenProgram()
    token = made(program).split(":")
    changed = {**program.header, **header}
    token[3] = encoded({name: value for name, value in changed.items() if value is not None})
    with pytest.raises(AccountError, match=reason):
        check(":".join(token), program)


def test_the_key_has_to_have_signed_the_token() -> None:
    program, other = TokenProgram(), TokenProgram()
    other.header = program.header
    with pytest.raises(AccountError, match="Signature verification failed"):
        check(made(other), program)


@pytest.mark.parametrize("nonce", ["another", None, 1])
def test_another_nonce_is_a_token_for_another_key(nonce: object) -> None:
    program = TokenProgram()
    with pytest.raises(AccountError, match="is not the hash of the user's header"):
        check(program.token(id_token(nonce=nonce)), program)


def test_claims_that_are_no_object() -> None:
    program = TokenProgram()
    header, _, signature = id_token().split(".")
    with pytest.raises(AccountError, match="is not the hash"):
        check(program.token(f"{header}.{encoded(b'[]')}.{signature}"), program)
    with pytest.raises(AccountError, match="can't be verified"):
        check(program.token(f"{header}.{encoded(b'{')}.{signature}"), program)


def test_a_certificate_has_a_token_in_its_extension() -> None:
    program = TokenProgram()
    assert token_in(program.certificate("a:b:c")) == "a:b:c"
    longest = "a" * DEFAULT_LIMITS.identity_token
    assert token_in(program.certificate(longest)) == longest
    with pytest.raises(AccountError, match="more than 32768 bytes"):
        token_in(program.certificate(longest + "a"))
    with pytest.raises(AccountError, match="not signed by its own key"):
        token_in(program.certificate("a", authority=generate("ssh-ed25519")))


@pytest.mark.parametrize("data", [b"", b"a:b", option("ä"), option("a\n"), option("a") + b"x"])
def test_an_extension_that_is_damaged(data: bytes) -> None:
    with pytest.raises(AccountError, match="damaged"):
        token_in(TokenProgram().certificate("", extensions={EXTENSION: data}))
