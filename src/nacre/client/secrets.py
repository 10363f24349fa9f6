"""Passwords and passphrases of a login: given beforehand, or asked of a human."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from nacre.protocol.asks import (
    Answer,
    AskNewPassword,
    AskPrompts,
    Denied,
    NewPassword,
    Responses,
    TryPassword,
)

KEYBOARD_INTERACTIVE = "keyboard-interactive"
PASSWORD = "password"

Prompter: TypeAlias = Callable[[str, bool], Awaitable[str | None]]
"""Gets a prompt, and whether to echo the answer; returns the answer, or None if there is none."""


class UserSecrets:
    """The secrets of one user for one host, and how often each method may still use them.

    :param account: the user and host, for the text of prompts.
    :param password: sent once.
    :param passphrase: tried first on every encrypted key file.
    :param prompt: asks a human for any other secret; without it none is asked for.
    :param attempts: how often a human is asked for the same secret.
    :param trusted: returns whether the host may learn secrets.
    :param notice: gets text for the human.
    """

    def __init__(
        self,
        account: str,
        *,
        password: str | None,
        passphrase: str | None,
        prompt: Prompter | None,
        attempts: int,
        trusted: Callable[[], bool],
        notice: Callable[[str], None],
    ) -> None:
        self._account = account
        self._password = password
        self._passphrase = passphrase
        self._prompt = prompt
        self._attempts = attempts
        self._trusted = trusted
        self._notice = notice
        self._used: dict[str, int] = {}
        self._disabled: set[str] = set()
        self._sent = ""

    @property
    def available(self) -> bool:
        """Whether there is a password, or a human to ask for one."""
        return self._password is not None or self._prompt is not None

    @property
    def has_password(self) -> bool:
        """Whether a password was given that was not sent yet."""
        return self._password is not None

    @property
    def can_unlock(self) -> bool:
        """Whether there is a passphrase, or a human to ask for one."""
        return self._passphrase is not None or self._prompt is not None

    def use(self, method: str, *, without_secret: bool = False) -> bool:
        """Count one more attempt of ``method``; returns False if it must not be tried.

        :param without_secret: try it once even if there is no secret to answer with.
        """
        used = self._used.get(method, 0)
        may = self.available or (without_secret and not used)
        if method in self._disabled or not may or used >= self._attempts:
            return False
        if not self._trusted():
            self._disabled.add(method)
            self._notice(f"{method} is not used: anyone on the network path could read the secret.")
            return False
        self._used[method] = used + 1
        return True

    async def password(self) -> TryPassword | None:
        """Return the next password to send, or None when there is none left."""
        if not self.use(PASSWORD):
            return None
        if self._password is not None:
            self._sent, self._password = self._password, None
            return TryPassword(self._sent)
        assert self._prompt is not None
        if self._used[PASSWORD] > 1:
            self._notice("Permission denied, please try again.")
        password = await self._prompt(f"{self._account}'s password: ", False)
        if password is None:
            self._disabled.add(PASSWORD)
            return None
        self._sent = password
        return TryPassword(password)

    async def responses(self, ask: AskPrompts) -> Answer:
        """Answer keyboard-interactive prompts; one without echo gets the password given before."""
        if not ask.prompts:
            self._show(ask)
            return Responses(())
        if self._password is not None and len(ask.prompts) == 1 and not ask.prompts[0].echo:
            password, self._password = self._password, None
            return Responses((password,))
        if self._prompt is None:
            # Empty responses make the method fail; the other methods are still tried.
            self._disabled.add(KEYBOARD_INTERACTIVE)
            return Responses(("",) * len(ask.prompts))
        self._show(ask)
        responses = []
        for prompt in ask.prompts:
            response = await self._prompt(f"({self._account}) {prompt.text}", prompt.echo)
            if response is None:
                self._disabled.add(KEYBOARD_INTERACTIVE)
            responses.append(response or "")
        return Responses(tuple(responses))

    def _show(self, ask: AskPrompts) -> None:
        for text in (ask.name, ask.instruction):
            if text:
                self._notice(text)

    async def new_password(self, ask: AskNewPassword) -> Answer:
        """Ask a human for the successor of an expired password."""
        if self._prompt is None:
            return Denied("the password has expired, and no prompt can ask for a new one")
        if ask.prompt:
            self._notice(ask.prompt)
        for _ in range(self._attempts):
            new = await self._prompt(f"Enter {self._account}'s new password: ", False)
            if new is None:
                break
            if new == await self._prompt(f"Retype {self._account}'s new password: ", False):
                return NewPassword(self._sent, new)
            self._notice("Mismatch; try again, EOF to quit.")
        return Denied("no new password was given")

    async def pin(self, question: str, wrong: int) -> str | None:
        """Return one more PIN for a security key, or None when there is none left.

        :param question: what to ask; ``wrong``: how many PINs did not fit.
        """
        if self._prompt is None or wrong >= self._attempts:
            return None
        return await self._prompt(question, False) or None

    async def passphrase(self, source: str, wrong: int) -> str | None:
        """Return one more passphrase for a key file, or None when there is none left.

        :param wrong: how many passphrases did not fit.
        """
        if self._passphrase is not None:
            if wrong == 0:
                return self._passphrase
            wrong -= 1
        if self._prompt is None or wrong >= self._attempts:
            return None
        # An empty line means: skip this key.
        return await self._prompt(f"Enter passphrase for key '{source}': ", False) or None
