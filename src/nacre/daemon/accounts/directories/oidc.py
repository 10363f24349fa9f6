"""Logins by OpenID Connect: the device flow (RFC 8628), and the ID token that it ends with.

A process without rights asks the issuer (helpers/oidc_process.py). The token comes from the issuer
over TLS, and its signature is verified all the same, by PyJWT. A token that a user has obtained for
an SSH key (tokens.py) is verified likewise.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from time import monotonic
from typing import Any
from urllib.parse import urlencode

from nacre.config.values import seconds
from nacre.daemon.accounts.directories.files import Table, read_secret
from nacre.daemon.accounts.directories.http import HTTPClient
from nacre.daemon.accounts.directories.tokens import ALGORITHMS, KeyToken
from nacre.daemon.accounts.directories.values import SECONDS
from nacre.errors import AccountError, ConfigurationError
from nacre.wire.text import safe

_PATIENCE = SECONDS / 4
"""Seconds for one request: a question takes up to three."""

_LEEWAY = 60
"""Seconds by which the clocks may differ."""

_KEYS_HOLD = 60.0
_KEYS_HOLD_AT_LEAST = 5.0
"""Seconds for which the issuer's keys are not asked for again, and for an unknown one."""

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_WAIT = {"authorization_pending": False, "slow_down": True}
_LONGEST = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class OIDCSettings:
    """The settings of a file of ``--users oidc:``; docs/directories.md describes them.

    :ivar groups: the group of the store for each value of the claim of groups.
    :ivar tokens: whether tokens for SSH keys log in.
    :ivar token_client_id: the client that they are for.
    :ivar token_age: seconds for which they hold; 0 for as long as the ID token says.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str
    name_claim: str
    groups_claim: str
    groups: Mapping[str, str]
    tokens: bool = False
    token_client_id: str = ""
    token_age: int = 0

    @classmethod
    def read(cls, path: str) -> OIDCSettings:
        """Return the settings of a file. Blocks.

        :raises ConfigurationError: one is missing, unknown or wrong, or the secret can't be read.
        """
        table = Table.read(path)
        secret_file = table.take("client_secret_file", str, "")
        client = table.take("client_id", str)
        age = table.take("token_age", str, "")
        found = cls(
            issuer=table.take("issuer", str),
            client_id=client,
            client_secret=read_secret(secret_file) if secret_file else "",
            scope=table.take("scope", str, "openid profile"),
            name_claim=table.take("name_claim", str, "preferred_username"),
            groups_claim=table.take("groups_claim", str, "groups"),
            groups=table.texts("groups"),
            tokens=table.take("tokens", bool, False),
            token_client_id=table.take("token_client_id", str, client),
            token_age=seconds(f"{path}: token_age", age) if age else 0,
        )
        table.end()
        HTTPClient(found.issuer)
        return found


def check_library() -> None:
    """Check that the library is there, without loading it.

    :raises ConfigurationError: it is not.
    """
    if find_spec("jwt") is None:
        raise ConfigurationError("--users oidc: needs the extra oidc: pip install 'nacre[oidc]'")


class Issuer:
    """An issuer, as the process without rights asks it."""

    def __init__(self, settings: OIDCSettings) -> None:
        import jwt

        self._settings = settings
        self._jwt = jwt
        self._found: Mapping[str, Any] | None = None
        self._keys: Sequence[Any] = ()
        self._keys_asked = -_KEYS_HOLD

    def begin(self) -> dict[str, object]:
        """Return a device code, and what the user needs to know. Blocks.

        :raises AccountError: the issuer gives none.
        """
        answer = self._post("device_authorization_endpoint", {"scope": self._settings.scope})
        status, given = answer
        if status != 200:
            raise AccountError(f"no code for a login: {_error(status, given)}")
        return {
            "device_code": _text(given, "device_code"),
            "user_code": _text(given, "user_code"),
            "url": _text(given, "verification_uri"),
            "seconds": _number(given, "expires_in", 600),
            "interval": _number(given, "interval", 5),
        }

    def poll(self, device_code: str) -> dict[str, object]:
        """Return who has let the device in, or that one has to wait. Blocks.

        :raises AccountError: the login was refused, or the token can't be used.
        """
        status, given = self._post(
            "token_endpoint", {"grant_type": _DEVICE_GRANT, "device_code": device_code}
        )
        waiting = given.get("error")
        if status == 400 and isinstance(waiting, str) and waiting in _WAIT:
            return {"wait": True, "slower": _WAIT[waiting]}
        if status != 200:
            raise AccountError(f"the issuer refuses the login: {_error(status, given)}")
        token = _text(given, "id_token", 16384)
        return self._person(self._verified(token, self._settings.client_id))

    def vouch(self, text: str, key: str) -> dict[str, object]:
        """Return who the user of an SSH key is, by a token. Blocks.

        What is wrong with a token without its issuer's signature, is found without the issuer.

        :param text: the token; see :class:`~nacre.daemon.accounts.directories.tokens.KeyToken`.
        :param key: the key in wire form, as base64.
        :raises AccountError: the token does not vouch for it, or the issuer gives no keys.
        """
        settings = self._settings
        token, client, age = KeyToken.read(text, self._jwt), settings.token_client_id, None
        token.check_key(key, self._jwt)
        if settings.token_age or token.renewed is not None:
            age = settings.token_age
        claims = self._verified(token.by_issuer, client, age)
        if token.renewed is not None and not settings.token_age:
            renewed = self._verified(token.renewed, client)
            if renewed["sub"] != claims["sub"]:
                raise AccountError("the token was renewed for another user")
            name = settings.name_claim
            if name in renewed and renewed[name] != claims.get(name):
                raise AccountError("the token was renewed for another name: log in anew")
            claims = {**claims, **renewed}
        return self._person(claims)

    def _person(self, claims: Mapping[str, Any]) -> dict[str, object]:
        settings = self._settings
        name = claims.get(settings.name_claim)
        if not isinstance(name, str):
            raise AccountError(f"the token has no claim {settings.name_claim}")
        if settings.name_claim == "email" and claims.get("email_verified") is not True:
            raise AccountError("the issuer has not verified the address, which is the user's name")
        groups = claims.get(settings.groups_claim, [])
        listed = groups if isinstance(groups, list) else []
        known = (settings.groups.get(one) for one in listed if isinstance(one, str))
        return {"name": name, "groups": sorted({one for one in known if one is not None})}

    def _verified(self, token: str, client: str, age: int | None = None) -> Mapping[str, Any]:
        """Return the claims of an ID token (OpenID Connect Core section 3.1.3.7).

        :param client: whom it is for.
        :param age: seconds for which it holds since its beginning, in place of the end that it
            names; 0 if another token says that it holds.
        :raises AccountError: it can't be used.
        """
        settings, jwt = self._settings, self._jwt
        try:
            wanted = jwt.get_unverified_header(token).get("kid")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                self._key(wanted),
                algorithms=list(ALGORITHMS),
                audience=client,
                issuer=settings.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"], "verify_exp": age is None},
            )
        except jwt.PyJWTError as error:
            raise AccountError(f"the token can't be used: {safe(str(error), 200)}") from None
        if claims.get("azp", client) != client:
            raise AccountError("the token is for another client")
        if age and time.time() > int(claims["iat"]) + age + _LEEWAY:
            raise AccountError("the token is older than token_age")
        return claims

    def _key(self, wanted: object) -> Any:
        """Return the key of the issuer that a token names."""
        holds = _KEYS_HOLD if _fitting(self._keys, wanted) else _KEYS_HOLD_AT_LEAST
        if monotonic() - self._keys_asked >= holds:
            self._keys = self._ask_keys()
            self._keys_asked = monotonic()
        found = _fitting(self._keys, wanted)
        if len(found) != 1:
            raise AccountError("the issuer has no key that the token names")
        return found[0]

    def _ask_keys(self) -> Sequence[Any]:
        status, given = self._get(_text(self._discovered(), "jwks_uri"))
        if status != 200:
            raise AccountError(f"no keys of the issuer: the status is {status}")
        keys: Sequence[Any] = self._jwt.PyJWKSet.from_dict(dict(given)).keys
        return keys

    # --- requests ---

    def _discovered(self) -> Mapping[str, Any]:
        if self._found is None:
            issuer = self._settings.issuer
            status, given = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if status != 200 or given.get("issuer") != issuer:
                raise AccountError(f"{issuer} does not describe itself (status {status})")
            self._found = given
        return self._found

    def _get(self, url: str) -> tuple[int, Mapping[str, Any]]:
        return _read(_client(url).send(None, {"Accept": "application/json"}, _PATIENCE))

    def _post(self, endpoint: str, values: Mapping[str, str]) -> tuple[int, Mapping[str, Any]]:
        settings = self._settings
        more = {"client_id": settings.client_id}
        if settings.client_secret:
            more["client_secret"] = settings.client_secret
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({**values, **more}).encode()
        client = _client(_text(self._discovered(), endpoint))
        return _read(client.send(body, headers, _PATIENCE))


def _client(url: str) -> HTTPClient:
    try:
        return HTTPClient(url)
    except ConfigurationError as error:
        raise AccountError(f"the issuer names a place that is not asked: {error}") from None


def _read(answer: tuple[int, bytes]) -> tuple[int, Mapping[str, Any]]:
    status, content = answer
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AccountError(f"the issuer answers what is no object of JSON (status {status})")
    return status, found


def _fitting(keys: Sequence[Any], wanted: object) -> Sequence[Any]:
    return [one for one in keys if wanted is None or one.key_id == wanted]


def _error(status: int, given: Mapping[str, Any]) -> str:
    return safe(f"status {status}, {given.get('error', 'without a reason')}", 200)


def _text(given: Mapping[str, Any], name: str, most: int = _LONGEST) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise AccountError(f"the issuer's {name} is missing, or can't be used")
    return value


def _number(given: Mapping[str, Any], name: str, usual: int) -> int:
    value = given.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 86400:
        raise AccountError(f"the issuer's {name} is no time")
    return value
