"""The settings for an issuer, and what its answers may be; the flow is in tests/interop."""

from __future__ import annotations

import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from daemon.accounts.directories.token_program import TokenProgram, encoded
from nacre.daemon.accounts.directories import oidc
from nacre.daemon.accounts.directories.oidc import Issuer, OIDCSettings
from nacre.errors import AccountError, ConfigurationError

ISSUER = "https://login.example.com/realm"


def settings(**more: Any) -> OIDCSettings:
    usual: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": "nacre",
        "client_secret": "",
        "scope": "openid",
        "name_claim": "preferred_username",
        "groups_claim": "groups",
        "groups": {"ops": "staff"},
    }
    return OIDCSettings(**{**usual, **more})


class CannedIssuer(Issuer):
    """An issuer whose answers are given."""

    def __init__(self, answers: dict[str, tuple[int, dict[str, Any]]], **more: Any) -> None:
        super().__init__(settings(**more))
        self.answers = answers

    def _get(self, url: str) -> tuple[int, dict[str, Any]]:
        return self.answers[url]

    def _post(self, endpoint: str, values: Any) -> tuple[int, dict[str, Any]]:
        return self.answers[endpoint]


def test_settings(tmp_path: Path) -> None:
    path = tmp_path / "oidc.toml"
    path.write_text(f'issuer = "{ISSUER}"\nclient_id = "nacre"\n')
    found = OIDCSettings.read(str(path))
    assert (found.scope, found.name_claim) == ("openid profile", "preferred_username")
    path.write_text('issuer = "http://login.example.com"\nclient_id = "nacre"\n')
    with pytest.raises(ConfigurationError, match="without TLS"):
        OIDCSettings.read(str(path))
    path.write_text(f'issuer = "{ISSUER}"\n')
    with pytest.raises(ConfigurationError, match="client_id is missing"):
        OIDCSettings.read(str(path))


def test_settings_of_tokens(tmp_path: Path) -> None:
    path = tmp_path / "oidc.toml"
    path.write_text(f'issuer = "{ISSUER}"\nclient_id = "nacre"\n')
    found = OIDCSettings.read(str(path))
    assert (found.tokens, found.token_client_id, found.token_age) == (False, "nacre", 0)
    usual = path.read_text()
    path.write_text(f'{usual}tokens = true\ntoken_client_id = "cli"\ntoken_age = "24h"\n')
    found = OIDCSettings.read(str(path))
    assert (found.tokens, found.token_client_id, found.token_age) == (True, "cli", 86400)
    for line, reason in (
        ('tokens = "yes"', "tokens is no bool"),
        ('token_age = "a day"', "token_age.*a time such as"),
        ("token_age = 24", "token_age is no str"),
    ):
        path.write_text(f"{usual}{line}\n")
        with pytest.raises(ConfigurationError, match=reason):
            OIDCSettings.read(str(path))


def test_an_issuer_has_to_be_the_one_that_is_configured() -> None:
    where = f"{ISSUER}/.well-known/openid-configuration"
    made = CannedIssuer({where: (200, {"issuer": "https://other.example.com"})})
    with pytest.raises(AccountError, match="does not describe itself"):
        made._discovered()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"device_code": "a", "user_code": "b"},
        {"device_code": "a", "user_code": "b\x1b[2J", "verification_uri": "https://x"},
        {"device_code": 1, "user_code": "b", "verification_uri": "https://x"},
        {"device_code": "a", "user_code": "b", "verification_uri": "x", "interval": "5"},
        {"device_code": "a", "user_code": "b", "verification_uri": "x", "expires_in": -1},
        {"device_code": "a" * 5000, "user_code": "b", "verification_uri": "x"},
    ],
)
def test_what_an_issuer_may_not_say(given: dict[str, Any]) -> None:
    with pytest.raises(AccountError):
        CannedIssuer({"device_authorization_endpoint": (200, given)}).begin()


def test_waiting_and_refusals() -> None:
    def poll(status: int, error: object) -> object:
        return CannedIssuer({"token_endpoint": (status, {"error": error})}).poll("code")

    assert poll(400, "authorization_pending") == {"wait": True, "slower": False}
    assert poll(400, "slow_down") == {"wait": True, "slower": True}
    for status, error in ((400, "access_denied"), (500, "slow_down"), (400, ["slow_down"])):
        with pytest.raises(AccountError, match="refuses the login"):
            poll(status, error)
    with pytest.raises(AccountError, match="id_token is missing"):
        poll(200, None)


def test_claims() -> None:
    made = CannedIssuer({})
    given = {"preferred_username": "alice", "groups": ["ops", "x", 1]}
    assert made._person(given) == {"name": "alice", "groups": ["staff"]}
    assert made._person({"preferred_username": "alice", "groups": "ops"})["groups"] == []
    made = CannedIssuer({}, name_claim="email")
    with pytest.raises(AccountError, match="not verified"):
        made._person({"email": "alice@example.com"})
    with pytest.raises(AccountError, match="not verified"):
        made._person({"email": "alice@example.com", "email_verified": "true"})
    person = made._person({"email": "alice@example.com", "email_verified": True})
    assert person["name"] == "alice@example.com"


# --- tokens for SSH keys ---

KEY = ec.generate_private_key(ec.SECP256R1())


class KeyIssuer(CannedIssuer):
    """An issuer that signs ID tokens, and counts who asks for its keys."""

    def __init__(self, **more: Any) -> None:
        super().__init__({}, tokens=True, **{"token_client_id": "nacre", **more})
        self._found = {"jwks_uri": f"{ISSUER}/keys"}
        self.asked = 0
        self.publish("one")

    def publish(self, *names: str) -> None:
        key = json.loads(ECAlgorithm.to_jwk(KEY.public_key()))
        self.answers[f"{ISSUER}/keys"] = 200, {"keys": [{**key, "kid": one} for one in names]}

    def _get(self, url: str) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        return super()._get(url)


def id_token(kid: str = "one", key: Any = KEY, algorithm: str = "ES256", **claims: Any) -> str:
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": "nacre",
        "sub": "42",
        "preferred_username": "alice",
        "iat": now,
        "exp": now + 300,
        "groups": ["ops"],
    }
    left = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(left, key, algorithm=algorithm, headers={"kid": kid})


PROGRAM = TokenProgram()


def vouched(issuer: Issuer, renewed: str | None = None, **claims: Any) -> object:
    token = PROGRAM.token(id_token(**{"nonce": PROGRAM.nonce, **claims}), renewed)
    return issuer.vouch(token, PROGRAM.key)


def test_a_token_says_who_has_the_key() -> None:
    issuer = KeyIssuer()
    assert vouched(issuer) == {"name": "alice", "groups": ["staff"]}
    assert vouched(issuer, groups=None) == {"name": "alice", "groups": []}
    mailed = KeyIssuer(name_claim="email")
    with pytest.raises(AccountError, match="has not verified the address"):
        vouched(mailed, email="a@example.com", email_verified=False)


LONG_AGO = int(time.time()) - 100_000


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": 1 << 33}, "not yet valid"),
        ({"aud": "other"}, "Audience"),
        ({"aud": ["nacre", "other"], "azp": "other"}, "another client"),
        ({"iss": "https://other.example"}, "issuer"),
        ({"nonce": "other"}, "nonce of the token"),
        ({"nonce": None}, "nonce of the token"),
        ({"kid": "two"}, "no key that the token names"),
        ({"key": ec.generate_private_key(ec.SECP256R1())}, "Signature verification failed"),
        ({"algorithm": "HS256", "key": "0123456789abcdef" * 4}, "alg"),
        ({"algorithm": "none", "key": None}, "alg"),
        ({"preferred_username": None}, "no claim preferred_username"),
        ({"preferred_username": 7}, "no claim preferred_username"),
    ],
)
def test_tokens_that_vouch_for_nobody(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(AccountError, match=reason):
        vouched(KeyIssuer(), **claims)


def test_a_public_key_of_the_issuer_is_no_secret_that_signs() -> None:
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header, claims = encoded({"alg": "HS256", "kid": "one"}), id_token(nonce=PROGRAM.nonce)
    signed = f"{header}.{claims.split('.')[1]}"
    forged = f"{signed}.{encoded(hmac.digest(public, signed.encode(), 'sha256'))}"
    with pytest.raises(AccountError, match="alg"):
        KeyIssuer().vouch(PROGRAM.token(forged), PROGRAM.key)


def test_a_token_holds_as_long_as_the_settings_say() -> None:
    issuer = KeyIssuer(token_age=3600)
    now = int(time.time())
    # The end that the ID token names does not count, and neither does a renewed one.
    assert vouched(issuer, iat=now - 3000, exp=now - 2700) == vouched(issuer)
    with pytest.raises(AccountError, match="older than token_age"):
        vouched(issuer, renewed=id_token(), iat=now - 3800)
    with pytest.raises(AccountError, match="not yet valid"):
        vouched(issuer, iat=now + 1000)


def test_a_renewed_token_says_that_an_older_one_holds() -> None:
    issuer = KeyIssuer()
    old: dict[str, Any] = {"iat": LONG_AGO, "exp": LONG_AGO + 300}
    assert vouched(issuer, id_token(groups=None), **old) == vouched(issuer)
    for renewed, reason in (
        (id_token(**old), "expired"),
        (id_token(sub="43"), "renewed for another user"),
        (id_token(aud="other"), "Audience"),
        (id_token(key=ec.generate_private_key(ec.SECP256R1())), "Signature verification"),
        ("x", "can't be used"),
    ):
        with pytest.raises(AccountError, match=reason):
            vouched(issuer, renewed, **old)


def test_a_renewed_token_says_which_groups_the_user_has_now() -> None:
    issuer = KeyIssuer()
    old: dict[str, Any] = {"iat": LONG_AGO, "exp": LONG_AGO + 300}
    assert vouched(issuer, id_token(groups=[]), **old) == {"name": "alice", "groups": []}
    gained = vouched(issuer, id_token(), groups=[], **old)
    assert gained == {"name": "alice", "groups": ["staff"]}
    with pytest.raises(AccountError, match="renewed for another name"):
        vouched(issuer, id_token(preferred_username="bob"), **old)
    mailed = KeyIssuer(name_claim="email")
    mail: dict[str, Any] = {"email": "a@example.com", "email_verified": True}
    assert vouched(mailed, id_token(preferred_username="bob"), **mail, **old)
    with pytest.raises(AccountError, match="has not verified the address"):
        vouched(mailed, id_token(email_verified=False), **mail, **old)


def test_tokens_may_be_for_a_client_of_their_own() -> None:
    issuer = KeyIssuer(token_client_id="cli")
    assert vouched(issuer, aud="cli", azp="cli") == {"name": "alice", "groups": ["staff"]}
    with pytest.raises(AccountError, match="Audience"):
        vouched(issuer)


def test_the_issuer_is_not_asked_about_what_its_signature_is_not_needed_for() -> None:
    issuer = KeyIssuer()
    with pytest.raises(AccountError, match="nonce"):
        vouched(issuer, nonce="x")
    with pytest.raises(AccountError, match="another key than the certificate"):
        issuer.vouch(PROGRAM.token(id_token(nonce=PROGRAM.nonce)), TokenProgram().key)
    assert issuer.asked == 0


def test_keys_of_the_issuer_are_asked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(oidc, "monotonic", lambda: now[0])
    issuer = KeyIssuer()
    for _ in range(3):
        vouched(issuer)
    assert issuer.asked == 1
    # An unknown key is looked for, but not for each token that names one.
    issuer.publish("two")
    for after, asked in ((1.0, 1), (5.0, 2), (1.0, 2)):
        now[0] += after
        if asked == 1:
            with pytest.raises(AccountError, match="no key that the token names"):
                vouched(issuer, kid="two")
        else:
            assert vouched(issuer, kid="two")
        assert issuer.asked == asked
    # A key that is gone counts no longer.
    issuer.publish("three")
    now[0] += 60.0
    with pytest.raises(AccountError, match="no key that the token names"):
        vouched(issuer, kid="two")
