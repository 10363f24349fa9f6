"""How a client proves who its user is: which methods, keys and secrets, in which order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from nacre.client.agent import Agent
from nacre.client.secrets import KEYBOARD_INTERACTIVE, PASSWORD, Prompter, UserSecrets
from nacre.client.userkeys import KeySources, UserKey
from nacre.errors import AuthenticationFailed, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.rsa1_text import RSA1
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    AskNewPassword,
    AskPrompts,
    AskSignature,
    Denied,
    GiveUp,
    Signature,
    TryKeyboardInteractive,
    TryNone,
    TryPublicKey,
)
from nacre.protocol.events import AuthResult
from nacre.protocol.options import choose
from nacre.wire.text import safe

PUBLICKEY = "publickey"

METHODS = (PUBLICKEY, PASSWORD, KEYBOARD_INTERACTIVE)

UNNAMED_OFFERS = 5
"""Keys not named by the user that are offered while a secret could still be tried.

A server counts each as a failure and disconnects at six by default: one is left for a password.
"""


def _ignore(text: str) -> None:
    pass


def _takes_rsa1(ask: AskAuthentication) -> bool:
    """Return whether the server takes RSA1 keys: a server of SSH-1 takes no others."""
    return ask.server_algorithms == (RSA1,)


class Identities:
    """Answers the questions of a client's authentication.

    Keys come in this order: those in hand, named files (from the agent where it has them), the
    agent's other keys, the default files. Encrypted files are decrypted when a server accepts their
    key. With a key in hand the first request is a signed one, and ``none`` is the last; otherwise
    ``none`` is the first, to learn which methods the server takes.

    :param user: the user name, and with ``host`` the text of prompts.
    :param keys: private keys in hand.
    :param files: key files by name; None means the default ones, where they exist.
    :param agent: the agent to ask, or None.
    :param identities_only: leave out keys of the agent that no file names.
    :param password: sent once, to ``password`` or to a ``keyboard-interactive`` round with one
        prompt without echo.
    :param passphrase: tried on every encrypted key file.
    :param prompt: asks a human for any other secret; without it none is asked for.
    :param methods: methods to use, in order.
    :param signatures: signature algorithms to use in SSH-2; by default all but legacy ones.
    :param prompts: how often a human is asked for the same secret.
    :param trusted: returns whether the host may learn secrets.
    :param notice: gets text for the human, and ``debug`` details.
    :ivar tried: what failed so far, such as ``publickey ssh-ed25519 SHA256:…``.
    """

    def __init__(
        self,
        user: str,
        host: str,
        *,
        keys: Sequence[PrivateKey] = (),
        files: Sequence[str | os.PathLike[str]] | None = None,
        agent: Agent | None = None,
        identities_only: bool = False,
        password: str | None = None,
        passphrase: str | None = None,
        prompt: Prompter | None = None,
        methods: Sequence[str] = METHODS,
        signatures: Sequence[str] | None = None,
        submethods: str = "",
        prompts: int = 3,
        trusted: Callable[[], bool] = lambda: True,
        notice: Callable[[str], None] = _ignore,
        debug: Callable[[str], None] = _ignore,
        banner: Callable[[str], None] = _ignore,
    ) -> None:
        self._user = user
        self._account = f"{user}@{host}"
        self._secrets = UserSecrets(
            self._account,
            password=password,
            passphrase=passphrase,
            prompt=prompt,
            attempts=prompts,
            trusted=trusted,
            notice=notice,
        )
        self._sources = KeySources(
            keys,
            files,
            agent,
            identities_only=identities_only,
            unlock=self._secrets.passphrase,
            notice=notice,
            debug=debug,
        )
        self._methods = tuple(methods)
        self._signatures = tuple(signatures or choose("signature", None))
        self._submethods = submethods
        self._notice = notice
        self._debug = debug
        self._show_banner = banner
        # A signed request may come first where a key is in hand, and keys are the first method.
        self._sign_first = bool(keys) and self._methods[:1] == (PUBLICKEY,)
        self._begun = False
        self._asked_for_none = False
        self._offers: list[UserKey] | None = None
        self._left_out = 0
        self._offered: dict[PublicKey, UserKey] = {}
        self.tried: list[str] = []

    async def authentication(self, ask: AskAuthentication) -> Answer:
        """Return what to try next."""
        can_continue = ask.can_continue
        if not self._begun:
            self._begun = True
            if can_continue or not self._sign_first:
                return self._none()
            can_continue = (PUBLICKEY,)
        for method in self._methods:
            if method not in can_continue:
                continue
            answer: Answer | None = None
            if method == PUBLICKEY:
                answer = await self._next_key(ask)
            elif method == PASSWORD:
                answer = await self._secrets.password()
            elif method == KEYBOARD_INTERACTIVE and self._secrets.use(method):
                answer = TryKeyboardInteractive(self._submethods)
            if answer is not None:
                return answer
        if not self._asked_for_none and not ask.partial:
            return self._none()
        return GiveUp(self._failure(ask.can_continue))

    def _none(self) -> TryNone:
        self._asked_for_none = True
        return TryNone()

    async def signature(self, ask: AskSignature) -> Answer:
        """Sign with the key that was offered."""
        key = self._offered.get(ask.key)
        if key is None:
            return Denied("not a key that was offered")
        try:
            return Signature(await key.sign(ask.data, ask.algorithm))
        except UnusableKey as error:
            self._notice(str(error))
            return Denied(str(error))

    async def prompts(self, ask: AskPrompts) -> Answer:
        """Answer the server's prompts, with the password if there is one prompt without echo."""
        return await self._secrets.responses(ask)

    async def new_password(self, ask: AskNewPassword) -> Answer:
        """Ask a human for the successor of an expired password."""
        return await self._secrets.new_password(ask)

    def banner(self, text: str) -> None:
        """Show the server's banner."""
        self._show_banner(text)

    def result(self, event: AuthResult) -> None:
        """Note a failure for the error message, and report a partial success."""
        if event.outcome == "failure" and event.method != "none":
            self.tried.append(f"{event.method} {event.detail}".strip())
        elif event.outcome == "partial":
            self._debug(f"Authenticated using {event.method!r} with partial success.")

    def _failure(self, can_continue: tuple[str, ...]) -> AuthenticationFailed:
        methods = safe(",".join(can_continue)) or "nothing"
        tried = "; ".join(self.tried) or "nothing that it takes"
        hint = f"; {self._left_out} more keys were not offered: name one" if self._left_out else ""
        return AuthenticationFailed(
            f"{self._account} was not let in: the server takes {methods}; tried: {tried}{hint}",
            user=self._user,
            tried=self.tried,
            can_continue=can_continue,
        )

    async def _next_key(self, ask: AskAuthentication) -> TryPublicKey | None:
        if self._offers is None:
            self._offers = await self._gather(ssh1=_takes_rsa1(ask))
        usable = (RSA1,) if _takes_rsa1(ask) else self._signatures
        while self._offers:
            key = self._offers.pop(0)
            algorithms = tuple(
                name
                for name in key.public.signature_algorithms
                if name in usable
                and (ask.server_algorithms is None or name in ask.server_algorithms)
            )
            if not algorithms:
                self._debug(f"no signature algorithm in common with the server for {key.source}")
                continue
            self._offered[key.public] = key
            self._debug(f"Offering public key: {key.source} {key.public!r}")
            return TryPublicKey(key.public, algorithms, signed=key.at_hand)
        return None

    async def _gather(self, *, ssh1: bool) -> list[UserKey]:
        """Return the keys to offer, in order; too many unnamed ones would use up all attempts."""
        named, others = await self._sources.gather(ssh1=ssh1)
        takes_secrets = PASSWORD in self._methods or KEYBOARD_INTERACTIVE in self._methods
        if takes_secrets and self._secrets.available:
            self._left_out = len(others[UNNAMED_OFFERS:])
            del others[UNNAMED_OFFERS:]
        return [*named, *others]
