"""An issuer of OpenID Connect for tests: the device flow, with an ID token that it signs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

CLIENT = "nacre"


@dataclass
class TestIssuer:
    """An issuer that runs.

    :ivar claims: what the next tokens say in place of the usual.
    :ivar key: what they are signed with; the published key is the first one.
    :ivar waits: how often the client is told to wait.
    :ivar refusal: the error that a poll gets, or None.
    """

    __test__ = False

    url: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    waits: int = 1
    refusal: str | None = None
    polled: int = 0

    def __post_init__(self) -> None:
        self.published = self.key.public_key()

    def token(
        self, *, kid: str = "one", key: Any = "own", algorithm: str = "ES256", **more: Any
    ) -> str:
        """Return an ID token.

        :param more: claims of this one.
        """
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "42",
            "iat": now,
            "exp": now + 300,
            "preferred_username": "alice",
            **self.claims,
            **more,
        }
        left = {name: value for name, value in claims.items() if value is not None}
        signing = self.key if key == "own" else key
        return jwt.encode(left, signing, algorithm=algorithm, headers={"kid": kid})

    def get(self, path: str) -> tuple[int, object]:
        if path == "/keys":
            key = json.loads(ECAlgorithm.to_jwk(self.published))
            return 200, {"keys": [{**key, "kid": "one", "use": "sig", "alg": "ES256"}]}
        return 200, {
            "issuer": self.url,
            "device_authorization_endpoint": f"{self.url}/device",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }

    def post(self, path: str, values: dict[str, list[str]]) -> tuple[int, object]:
        if values["client_id"] != [CLIENT]:
            return 400, {"error": "invalid_client"}
        if path == "/device":
            self.polled = 0
            return 200, {
                "device_code": "a-device",
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{self.url}/activate",
                "expires_in": 60,
                "interval": 1,
            }
        assert values["device_code"] == ["a-device"]
        self.polled += 1
        if self.polled <= self.waits:
            return 400, {"error": "authorization_pending"}
        if self.refusal is not None:
            return 400, {"error": self.refusal}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token()}


@contextmanager
def issuer() -> Iterator[TestIssuer]:
    """Start an issuer."""
    made = TestIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*made.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*made.post(self.path, parse_qs(body.decode())))

        def _answer(self, status: int, content: object) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join(30)
