"""How a client shows who its user is: which methods, which keys, which secrets, in which order."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from nacre.client.agent import Agent
from nacre.client.userkeys import DEFAULT_FILES, SSH1_FILE, AgentKey, HeldKey, UserKey, open_file
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
    NewPassword,
    Responses,
    Signature,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import AuthResult
from nacre.protocol.options import choose
from nacre.wire.text import safe

METHODS = ("publickey", "password", "keyboard-interactive")

UNNAMED_OFFERS = 5
"""Keys nobody named that are offered while a secret could still be tried.

A server counts each as a failure, and hangs up at six by default: one more is left for a password.
"""

Prompter: TypeAlias = Callable[[str, bool], Awaitable[str | None]]
"""Gets a prompt, and whether the answer may show; returns it, or None when there is none."""


def _silent(text: str) -> None:
    pass


def _is_of_ssh1(ask: AskAuthentication) -> bool:
    """Tell whether the server takes RSA1 keys, which those of SSH-1 do, and no others."""
    return ask.server_algorithms == (RSA1,)


class Identities:
    """Answers the questions of a client's authentication.

    Keys come in this order: those in hand, named files (from the agent where it has them), the
    agent's other keys, the default files. Encrypted ones stay so until a server wants them. With a
    key in hand the first request is a signed one, and ``none`` the last; otherwise ``none`` is
    asked for first, to learn what the server takes.

    :param user: the user name, and with ``host`` the text of prompts.
    :param keys: private keys in hand.
    :param files: key files by name; None means the default ones, where they exist.
    :param agent: the agent to ask, or None.
    :param identities_only: leave out keys of the agent that no file names.
    :param password: given once to ``password``, or to a ``keyboard-interactive`` round that asks
        for one thing without echo.
    :param passphrase: tried on every encrypted key file.
    :param prompt: asks a human for whatever else is needed; without it nobody is asked.
    :param methods: methods to use, in order.
    :param signatures: signature algorithms to use in SSH-2; by default those that are no legacy.
    :param prompts: how often a human is asked for the same secret.
    :param trusted: tells whether the host may be given secrets.
    :param notice: gets what a human should hear; ``debug`` what one may want to know.
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
        notice: Callable[[str], None] = _silent,
        debug: Callable[[str], None] = _silent,
        banner: Callable[[str], None] = _silent,
    ) -> None:
        self._user = user
        self._whom = f"{user}@{host}"
        self._held = tuple(keys)
        self._files = files
        self._agent = agent
        self._identities_only = identities_only
        self._password = password
        self._passphrase = passphrase
        self._prompt = prompt
        self._methods = tuple(methods)
        self._signatures = tuple(signatures or choose("signature", None))
        self._submethods = submethods
        self._prompts = prompts
        self._trusted = trusted
        self._notice = notice
        self._debug = debug
        self._show_banner = banner
        self._offers: list[UserKey] | None = None
        self._unnamed = 0
        self._left_out = 0
        self._keys_tried: dict[PublicKey, UserKey] = {}
        self._asked: dict[str, int] = {}
        self._given = ""
        self._silenced: set[str] = set()
        self._begun = False
        self._asked_for_none = False
        self.tried: list[str] = []

    async def authentication(self, ask: AskAuthentication) -> Answer:
        """Say what to try next."""
        can_continue = ask.can_continue
        if not self._begun:
            self._begun = True
            if can_continue or not self._held or self._methods[:1] != ("publickey",):
                return self._none()
            can_continue = ("publickey",)
        for method in self._methods:
            if method not in can_continue:
                continue
            answer: Answer | None = None
            if method == "publickey":
                answer = await self._next_key(ask)
            elif method == "password":
                answer = await self._next_password()
            elif method == "keyboard-interactive" and self._may_ask(method):
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
        key = self._keys_tried.get(ask.key)
        if key is None:
            return Denied("not a key that was offered")
        try:
            return Signature(await key.sign(ask.data, ask.algorithm))
        except UnusableKey as error:
            self._notice(str(error))
            return Denied(str(error))

    async def prompts(self, ask: AskPrompts) -> Answer:
        """Answer the server's prompts, with the password where that is plainly what it wants."""
        method = "keyboard-interactive"
        if not ask.prompts:
            self._say(ask)
            return Responses(())
        if self._password is not None and len(ask.prompts) == 1 and not ask.prompts[0].echo:
            password, self._password = self._password, None
            return Responses((password,))
        if self._prompt is None:
            # The method fails with empty responses, and others may go on.
            self._silenced.add(method)
            return Responses(("",) * len(ask.prompts))
        self._say(ask)
        responses = []
        for prompt in ask.prompts:
            response = await self._prompt(f"({self._whom}) {prompt.text}", prompt.echo)
            if response is None:
                self._silenced.add(method)
            responses.append(response or "")
        return Responses(tuple(responses))

    async def new_password(self, ask: AskNewPassword) -> Answer:
        """Ask a human for the successor of an expired password."""
        if self._prompt is None:
            return Denied("the password has expired, and there is nobody to ask for a new one")
        if ask.prompt:
            self._notice(ask.prompt)
        for _ in range(self._prompts):
            new = await self._prompt(f"Enter {self._whom}'s new password: ", False)
            if new is None:
                break
            if new == await self._prompt(f"Retype {self._whom}'s new password: ", False):
                return NewPassword(self._given, new)
            self._notice("Mismatch; try again, EOF to quit.")
        return Denied("no new password was given")

    def banner(self, text: str) -> None:
        """Show the server's banner."""
        self._show_banner(text)

    def result(self, event: AuthResult) -> None:
        """Remember what failed, and go on after a partial success."""
        if event.outcome == "failure" and event.method != "none":
            self.tried.append(f"{event.method} {event.detail}".strip())
        elif event.outcome == "partial":
            self._debug(f"Authenticated using {event.method!r} with partial success.")

    def _failure(self, can_continue: tuple[str, ...]) -> AuthenticationFailed:
        methods = safe(",".join(can_continue)) or "nothing"
        tried = "; ".join(self.tried) or "nothing that it takes"
        hint = f"; {self._left_out} keys more were not offered: name one" * bool(self._left_out)
        return AuthenticationFailed(
            f"{self._whom} was not let in: the server takes {methods}; tried: {tried}{hint}",
            user=self._user,
            tried=self.tried,
            can_continue=can_continue,
        )

    # --- keys ---

    async def _next_key(self, ask: AskAuthentication) -> TryPublicKey | None:
        if self._offers is None:
            self._offers = await self._gather(ssh1=_is_of_ssh1(ask))
        usable = (RSA1,) if _is_of_ssh1(ask) else self._signatures
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
            self._keys_tried[key.public] = key
            self._debug(f"Offering public key: {key.source} {key.public!r}")
            return TryPublicKey(key.public, algorithms, signed=key.at_hand)
        return None

    async def _gather(self, *, ssh1: bool) -> list[UserKey]:
        agent = await self._agent_keys(ssh1=ssh1)
        named: dict[PublicKey, UserKey] = {key.public: HeldKey(key) for key in self._held}
        unnamed: dict[PublicKey, UserKey] = {}
        files = await self._file_keys(ssh1=ssh1)
        for public, key in files.items():
            known = agent.pop(public, None) or key
            if known is not None:
                (named if self._files is not None else unnamed).setdefault(public, known)
        if not self._identities_only:
            unnamed = agent | unnamed
        others = [key for public, key in unnamed.items() if public not in named]
        if self._can_be_secret():
            self._left_out = len(others[UNNAMED_OFFERS:])
            del others[UNNAMED_OFFERS:]
        return [*named.values(), *others]

    def _can_be_secret(self) -> bool:
        secret = {"password", "keyboard-interactive"} & set(self._methods)
        return bool(secret) and (self._password is not None or self._prompt is not None)

    async def _agent_keys(self, *, ssh1: bool) -> dict[PublicKey, UserKey]:
        if self._agent is None:
            return {}
        try:
            found = await (self._agent.rsa1_keys() if ssh1 else self._agent.keys())
        except UnusableKey as error:
            self._debug(str(error))
            return {}
        return {key: AgentKey(self._agent, key, comment or "agent") for key, comment in found}

    async def _file_keys(self, *, ssh1: bool) -> dict[PublicKey, UserKey | None]:
        """Keys of the files in order; None where only the agent may have the private half."""
        found: dict[PublicKey, UserKey | None] = {}
        for path in self._paths(ssh1=ssh1):
            try:
                key = await open_file(path, self._next_passphrase)
            except UnusableKey as error:
                self._notice(f"{path}: {error}" if str(path) not in str(error) else str(error))
                continue
            if isinstance(key, PublicKey):
                found.setdefault(key, None)
            elif key is not None:
                found[key.public] = key
            elif self._files is not None:
                self._notice(
                    f"Warning: Identity file {path} not accessible: No such file or directory."
                )
        return found

    def _paths(self, *, ssh1: bool) -> list[Path]:
        default = (SSH1_FILE,) if ssh1 else DEFAULT_FILES
        names = default if self._files is None else self._files
        return [Path(os.path.expanduser(name)) for name in names]

    async def _next_passphrase(self, source: str, wrong: int) -> str | None:
        if self._passphrase is not None:
            if wrong == 0:
                return self._passphrase
            wrong -= 1
        if self._prompt is None or wrong >= self._prompts:
            return None
        # An empty line means: go on without this key.
        return await self._prompt(f"Enter passphrase for key '{source}': ", False) or None

    # --- secrets ---

    def _may_ask(self, method: str) -> bool:
        asked = self._asked.get(method, 0)
        if method in self._silenced or (self._password is None and self._prompt is None):
            return False
        if asked >= self._prompts:
            return False
        if not self._trusted():
            self._silenced.add(method)
            self._notice(f"{method} is not used: whoever is in the way would learn the secret.")
            return False
        self._asked[method] = asked + 1
        return True

    async def _next_password(self) -> TryPassword | None:
        method = "password"
        if not self._may_ask(method):
            return None
        if self._password is not None:
            self._given, self._password = self._password, None
            return TryPassword(self._given)
        assert self._prompt is not None
        if self._asked[method] > 1:
            self._notice("Permission denied, please try again.")
        password = await self._prompt(f"{self._whom}'s password: ", False)
        if password is None:
            self._silenced.add(method)
            return None
        self._given = password
        return TryPassword(password)

    def _say(self, ask: AskPrompts) -> None:
        for text in (ask.name, ask.instruction):
            if text:
                self._notice(text)
