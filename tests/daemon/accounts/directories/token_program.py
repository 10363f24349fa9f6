"""A program of a user that obtains tokens for an SSH key; each step can be made wrong."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from nacre.daemon.accounts.directories.tokens import EXTENSION
from nacre.keys import PrivateKey, load_private
from nacre.keys.certificate import USER_EXTENSIONS, Certificate, option

_MAKERS: dict[str, tuple[Any, Any]] = {
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
}


def encoded(value: bytes | dict[str, Any]) -> str:
    """Return bytes, or JSON, in base64url."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenProgram:
    """A key, and what makes a token and a certificate of it.

    :ivar header: of the user's signature; a test may change it before it asks for the nonce.
    """

    def __init__(self, algorithm: str = "ES256") -> None:
        make, form = _MAKERS[algorithm]
        self._made = make()
        text = self._made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        self.text: bytes = text
        self.private: PrivateKey = load_private(text)
        shown = form.to_jwk(self._made.public_key(), as_dict=True)
        self.header: dict[str, Any] = {
            "alg": algorithm,
            "rz": "00" * 32,
            "typ": "CIC",
            "upk": {**shown, "alg": algorithm},
        }

    @property
    def key(self) -> str:
        """The public key in wire form, as base64."""
        return base64.b64encode(self.private.public.blob).decode()

    @property
    def nonce(self) -> str:
        """What the issuer is handed for the ID token."""
        data = json.dumps(self.header, separators=(",", ":")).encode()
        return encoded(hashlib.sha3_256(data).digest())

    def token(self, id_token: str, renewed: str | None = None) -> str:
        """Return the token for an ID token that has the nonce."""
        header, claims, signature = id_token.split(".")
        own = encoded(self.header)
        algorithm = jwt.get_algorithm_by_name(self.header["upk"]["alg"])
        made = encoded(algorithm.sign(f"{own}.{claims}".encode(), self._made))
        return ":".join((claims, header, signature, own, made)) + (f".{renewed}" if renewed else "")

    def certificate(self, token: str, **more: Any) -> Certificate:
        """Return a certificate with a token, which the key has signed for itself."""
        extensions = dict.fromkeys(USER_EXTENSIONS, b"") | {EXTENSION: option(token)}
        authority = more.pop("authority", self.private)
        more = {"key_id": "alice@example.com", "extensions": extensions, **more}
        return Certificate.issue(self.private.public, authority, **more)

    def write(self, path: Path, token: str, **more: Any) -> Path:
        """Write the key and the certificate as ssh reads them, and return the key's path."""
        path.touch(mode=0o600)
        path.write_bytes(self.text)
        path.with_name(f"{path.name}-cert.pub").write_text(f"{self.certificate(token, **more)}\n")
        return path
