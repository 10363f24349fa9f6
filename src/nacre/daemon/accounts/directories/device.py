"""Users who log in with a browser: keyboard-interactive shows them an address and a code.

Who a user is, nobody knows before the login: every name looks like a user who needs this method.
The name that the issuer tells must be the one that the client has given. A certificate with a token
of the issuer (tokens.py) stands for the dialogue where tokens log in.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from nacre.daemon.accounts.candidate import Candidate
from nacre.daemon.accounts.directories.asking import DirectoryThreads, asker_of, joined
from nacre.daemon.accounts.directories.tokens import EXTENSION, token_in
from nacre.daemon.accounts.directories.values import AskDirectory
from nacre.daemon.accounts.virtual.requirements import DIALOGUE, TOKEN_OR_DIALOGUE
from nacre.daemon.accounts.virtual.users import UNKNOWN_USER, PasswordVerdict
from nacre.daemon.store.values import StoredUser, User
from nacre.errors import AccountError
from nacre.keys import PublicKey
from nacre.keys.certificate import Certificate
from nacre.keys.shown import ShownKey
from nacre.protocol.asks import Challenge, Prompt
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.server.peer import Client

_METHOD, _BY_TOKEN = "keyboard-interactive", "publickey"

_PATIENCE = 120.0
"""Seconds for which the issuer is asked after the user has said that it is done."""

_FASTEST, _SLOWEST = 1.0, 30.0
_SLOWER = 5.0
"""Seconds between two questions, and by how many more where the issuer wants it slower."""

_TEXT = """
Log in with a browser, at {url}
with the code {code}
Do so only if you have begun this login yourself.
"""


@dataclass(slots=True)
class _Device:
    """A login that waits for its user's browser."""

    name: str
    code: str
    interval: float
    end: float


class DeviceUsers:
    """The users of an issuer; see :class:`~nacre.daemon.accounts.virtual.users.VirtualUsers`.

    :param ask: puts the questions ``begin``, ``poll`` and ``token`` to the process that asks the
        issuer.
    :param groups: the groups of all these users, behind those that the issuer names.
    :param tokens: whether a token for the user's SSH key logs in.
    """

    def __init__(
        self,
        ask: AskDirectory,
        store: UserStore,
        *,
        groups: tuple[str, ...] = (),
        tokens: bool = False,
    ) -> None:
        self._ask = ask
        self._store = store
        self._groups = groups
        self._auth = TOKEN_OR_DIALOGUE if tokens else DIALOGUE
        self._threads = DirectoryThreads()
        self._open: WeakKeyDictionary[Client, _Device] = WeakKeyDictionary()
        self._known: WeakKeyDictionary[Client, User] = WeakKeyDictionary()
        # Whom the token of a certificate vouches for, by the name and the certificate's blob.
        self._judged: WeakKeyDictionary[Client, dict[tuple[str, bytes], User | None]]
        self._judged = WeakKeyDictionary()

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    def look_up(
        self,
        name: str,
        connection: Client,
        *,
        again: bool = False,
        key: PublicKey | None = None,
    ) -> Awaitable[None] | None:
        """Ask about the token in a certificate that is shown; else there is nothing to ask."""
        if self._auth != TOKEN_OR_DIALOGUE or not isinstance(key, Certificate):
            return None
        judged = self._judged.setdefault(connection, {})
        if EXTENSION not in key.extensions or (name, key.blob) in judged:
            return None
        return self._judge(name, key, connection)

    async def _judge(self, name: str, key: Certificate, connection: Client) -> None:
        # The requests of a login are bounded, and so are these.
        self._judged[connection][name, key.blob] = await self._vouched(name, key, connection)

    async def _vouched(self, name: str, key: Certificate, connection: Client) -> User | None:
        """Return the user that the token of a certificate vouches for, or None."""
        if asker_of(name, connection) is None:
            self._refused(name, connection, UNKNOWN_USER, _BY_TOKEN)
            return None
        try:
            shown = base64.b64encode(key.key.blob).decode("ascii")
            question = {"question": "token", "token": token_in(key), "key": shown}
            given = await self._question(connection, question)
            return await self._user(name, given, connection, _BY_TOKEN)
        except AccountError as error:
            self._refused(name, connection, f"no login by a token: {error}", _BY_TOKEN)
            return None

    def find(self, name: str, connection: Client) -> User | None:
        """Return the user who has logged in, or one of whom nothing is known but the name."""
        known = self._known.get(connection)
        if known is not None and known.name == name:
            return known
        return None if asker_of(name, connection) is None else User(name=name, auth=self._auth)

    def absence(self, name: str, connection: Client) -> str:
        """Return that nobody can have this name."""
        return UNKNOWN_USER

    def policies(self) -> list[str]:
        """Return what all users have to pass."""
        return [self._auth]

    def key_options(self, shown: ShownKey, connection: Client) -> str | None:
        """Return that the key has signed the certificate that is shown, if its token is right."""
        found = self._judged.get(connection, {}).get((shown.user, shown.key.blob))
        if found is None:
            return None
        # Another token, which was only shown, may name other groups.
        self._known[connection] = found
        return "cert-authority"

    def keys(self, name: str, connection: Client) -> Iterable[PublicKey]:
        """Return no keys."""
        return ()

    def enrolled(self, name: str, connection: Client) -> bool:
        """Tell whether a user has a second factor, which the store has."""
        return self._store.factors.enrolled(name)

    async def verify(
        self, user: User | None, name: str, password: str, connection: Client
    ) -> PasswordVerdict:
        """Refuse: these users have no passwords here."""
        return PasswordVerdict("the user has no password here, and logs in with a browser")

    # --- the dialogue ---

    def converse(
        self, candidate: Candidate, responses: tuple[str, ...] | None, connection: Client
    ) -> Awaitable[bool | Challenge] | None:
        """Show the address and the code, then wait until the user has logged in there."""
        if responses is None:
            self._open.pop(connection, None)
            return self._begin(candidate.user, connection)
        return self._wait(candidate.user, connection)

    async def _begin(self, name: str, connection: Client) -> bool | Challenge:
        asker = asker_of(name, connection)
        if asker is None:
            return self._refused(name, connection, UNKNOWN_USER)
        try:
            given = await self._question(connection, {"question": "begin"})
            device = _Device(
                name,
                _field(given, "device_code"),
                min(max(_time(given, "interval"), _FASTEST), _SLOWEST),
                monotonic() + _time(given, "seconds"),
            )
            text = _TEXT.format(url=_field(given, "url"), code=_field(given, "user_code"))
        except AccountError as error:
            return self._failed(name, connection, error)
        self._open[connection] = device
        # It is a prompt, because OpenSSH's client leaves out the instruction with -q.
        return Challenge("", "", (Prompt(f"{text}Press Enter when you have done so: ", True),))

    async def _wait(self, name: str, connection: Client) -> bool:
        device = self._open.pop(connection, None)
        if device is None or device.name != name:
            return self._refused(name, connection, "responses to no question")
        end = min(device.end, monotonic() + _PATIENCE)
        while monotonic() < end:
            question = {"question": "poll", "device_code": device.code}
            try:
                given = await self._question(connection, question)
                if given.get("wait") is not True:
                    return await self._take(name, given, connection)
            except AccountError as error:
                return self._failed(name, connection, error)
            if given.get("slower") is True:
                device.interval = min(device.interval + _SLOWER, _SLOWEST)
            await asyncio.sleep(device.interval)
        return self._refused(name, connection, "nobody has logged in with the browser in time")

    async def _take(self, name: str, given: Mapping[str, Any], connection: Client) -> bool:
        found = await self._user(name, given, connection, _METHOD)
        if found is not None:
            self._known[connection] = found
        return found is not None

    async def _user(
        self, name: str, given: Mapping[str, Any], connection: Client, method: str
    ) -> User | None:
        """Return whom the issuer names, if that is who the client wants to be."""
        told = _field(given, "name")
        groups = given.get("groups")
        if not isinstance(groups, list) or not all(isinstance(one, str) for one in groups):
            raise AccountError("the groups in the answer are no texts")
        if told != name:
            self._refused(name, connection, f"at the issuer the user is {safe(told, 64)}", method)
            return None
        own = StoredUser(name=name, groups=tuple(groups))
        join = partial(joined, own, self._store, self._groups)
        user = await self._threads.ask(str(connection.peer[0]), join)
        # The issuer has its own second factors, and what a user must pass is the issuer's word.
        return replace(user, auth=self._auth, second_factor="none")

    async def _question(
        self, connection: Client, question: Mapping[str, object]
    ) -> Mapping[str, Any]:
        work = partial(self._ask, question)
        answer = await self._threads.ask(str(connection.peer[0]), work)
        if not isinstance(answer, Mapping):
            raise AccountError("the answer is no object")
        return answer

    def _failed(self, name: str, connection: Client, error: AccountError) -> bool:
        return self._refused(name, connection, f"no login at the issuer: {error}")

    def _refused(self, name: str, connection: Client, reason: str, method: str = _METHOD) -> bool:
        connection.record("refused", method=method, name=safe(name), reason=reason)
        return False


def _field(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 2048 or not value.isprintable():
        raise AccountError(f"{name} in the answer is no text that can be used")
    return value


def _time(given: Mapping[str, Any], name: str) -> float:
    value = given.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 86400:
        raise AccountError(f"{name} in the answer is no time")
    return float(value)
