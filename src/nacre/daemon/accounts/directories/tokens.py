"""OpenPubkey tokens: ID tokens that an issuer has signed for a user's SSH key.

The user's program hands the issuer a nonce for the ID token: the hash of the JWS header (RFC 7515)
of a second signature, which the user's key makes of the same claims. That header has the key. The
ID token with both signatures is the token. It is in an extension of a certificate that the user's
key has signed for itself, so any SSH client can show it, in the form of the program ``opkssh``.

Nothing here asks the issuer: :mod:`nacre.daemon.accounts.directories.oidc` does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nacre.errors import AccountError, MalformedMessage
from nacre.keys.certificate import Certificate
from nacre.limits import DEFAULT_LIMITS
from nacre.wire.codec import WireReader, mpint, string, text
from nacre.wire.text import safe

EXTENSION = "openpubkey-pkt"
"""The extension of a certificate that has the token."""

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Algorithms of signatures: none with a secret that two share, and not ``none``."""

_ISSUER, _USER, _COSIGNER = "JWT", "CIC", "COS"
"""Whose a signature is, by the ``typ`` of its header."""

_MOST_PARTS = 7
"""Parts of a token: the claims, and the header and the value of three signatures."""


def token_in(certificate: Certificate) -> str:
    """Return the token of a certificate that has one.

    :raises AccountError: it can't be read, or another key has signed the certificate.
    """
    if certificate.authority != certificate.key:
        raise AccountError(
            "the certificate is not signed by its own key, as that of a token has to be"
        )
    try:
        reader = WireReader(certificate.extensions[EXTENSION])
        data = bytes(reader.string())
        reader.end()
    except MalformedMessage:
        raise AccountError("the token in the certificate is damaged") from None
    if len(data) > DEFAULT_LIMITS.identity_token:
        raise AccountError(f"the token has more than {DEFAULT_LIMITS.identity_token} bytes")
    token = data.decode("ascii", "replace")
    if not token.isascii() or not token.isprintable():
        raise AccountError("the token in the certificate is damaged")
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyToken:
    """A token, taken apart. Each text is a JWS in the compact form.

    :ivar by_issuer: the ID token.
    :ivar by_user: the same claims, signed by the user's key.
    :ivar renewed: an ID token that the issuer has made since, or None.
    """

    by_issuer: str
    by_user: str
    renewed: str | None

    @classmethod
    def read(cls, token: str, jwt: Any) -> KeyToken:
        """Return a token.

        :param token: its parts, with colons, and perhaps a renewed ID token behind a full stop.
        :param jwt: the library.
        :raises AccountError: it is none.
        """
        signed, _, renewed = token.partition(".")
        parts = signed.split(":")
        if len(parts) not in range(3, _MOST_PARTS + 1, 2):
            raise AccountError("the token has not the form claims:header:signature:…")
        claims = parts[0]
        found: dict[str, str] = {}
        for header, signature in zip(parts[1::2], parts[2::2], strict=True):
            one = f"{header}.{claims}.{signature}"
            kind = _header(one, jwt).get("typ", _ISSUER)
            if kind not in (_ISSUER, _USER, _COSIGNER):
                raise AccountError(f"a signature of the token is a {safe(str(kind), 64)}")
            if found.setdefault(kind, one) is not one:
                raise AccountError(f"the token has two signatures that are a {kind}")
        if _ISSUER not in found or _USER not in found:
            raise AccountError("the token needs a signature of the issuer and one of the user")
        return cls(by_issuer=found[_ISSUER], by_user=found[_USER], renewed=renewed or None)

    def check_key(self, key: str, jwt: Any) -> None:
        """Check that the ID token was asked for with this key, which has signed it.

        :param key: the SSH key in wire form, as base64.
        :param jwt: the library.
        :raises AccountError: it was not.
        """
        header = _header(self.by_user, jwt)
        algorithm, given = header.get("alg"), header.get("upk")
        if algorithm not in ALGORITHMS:
            raise AccountError(f"the user's signature is by {safe(str(algorithm), 64)}")
        if not isinstance(given, dict) or given.get("alg") != algorithm or "rz" not in header:
            raise AccountError("the header of the user's signature lacks upk, its alg, or rz")
        try:
            if _in_wire_form(given) != key:
                raise AccountError("the token is for another key than the certificate")
            made = jwt.PyJWK.from_dict(given, algorithm=algorithm)
            claims = json.loads(jwt.PyJWS().decode(self.by_user, made, algorithms=[algorithm]))
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            reason = safe(str(error), 200)
            raise AccountError(f"the user's signature can't be verified: {reason}") from None
        nonce = claims.get("nonce") if isinstance(claims, dict) else None
        if nonce != commitment(self.by_user.partition(".")[0]):
            raise AccountError("the nonce of the token is not the hash of the user's header")


def commitment(header: str) -> str:
    """Return the nonce for the header of a user's signature: SHA3-256 of its JSON.

    :param header: as it is in the token, in base64url.
    """
    content = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
    return base64.urlsafe_b64encode(hashlib.sha3_256(content).digest()).rstrip(b"=").decode()


def _header(token: str, jwt: Any) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, binascii.Error) as error:
        raise AccountError(f"the token can't be read: {safe(str(error), 200)}") from None
    return found


def _in_wire_form(key: Mapping[str, Any]) -> str:
    """Return a public key in JSON (RFC 7518 section 6) as SSH has it, in base64.

    :raises KeyError, TypeError, ValueError: it is of no type that has tokens, or is damaged.
    """
    return base64.b64encode(_FORMS[key["kty"], key.get("crv")](key)).decode("ascii")


def _decoded(key: Mapping[str, Any], name: str) -> bytes:
    value = str(key[name])
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _ecdsa(curve: str) -> Callable[[Mapping[str, Any]], bytes]:
    def encode(key: Mapping[str, Any]) -> bytes:
        point = b"\x04" + _decoded(key, "x") + _decoded(key, "y")
        return text(f"ecdsa-sha2-{curve}") + text(curve) + string(point)

    return encode


def _ed25519(key: Mapping[str, Any]) -> bytes:
    return text("ssh-ed25519") + string(_decoded(key, "x"))


def _rsa(key: Mapping[str, Any]) -> bytes:
    numbers = (int.from_bytes(_decoded(key, name), "big") for name in ("e", "n"))
    return text("ssh-rsa") + b"".join(map(mpint, numbers))


_FORMS: Mapping[tuple[str, str | None], Callable[[Mapping[str, Any]], bytes]] = {
    ("EC", "P-256"): _ecdsa("nistp256"),
    ("EC", "P-384"): _ecdsa("nistp384"),
    ("OKP", "Ed25519"): _ed25519,
    ("RSA", None): _rsa,
}
