"""Keyboard-interactive for the users of the store (RFC 4256): password, code, enrolment, change.

A dialogue goes through these stages, and leaves out those that a user does not need::

    PASSWORD    unless a method before has proved enough
    CODE        of the second factor, or ENROL for one that is new, and TOLD its recovery codes
    CHANGE      of a password that has expired, after the second factor

A one-time password of the API stands for the password and the code, which the user has shown there.
A wrong password ends it as it does for an unknown user. Whoever sees a further stage has shown the
password or the key.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from nacre.daemon.accounts.candidate import Candidate
from nacre.daemon.store.second_factor.totp import (
    new_secret,
    provisioning_uri,
    qr_code,
    recovery_codes,
    written,
)
from nacre.daemon.store.values import ONE_TIME_PREFIX
from nacre.protocol.asks import Challenge, Prompt
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import User
    from nacre.server.admission.user_threads import UserThreads
    from nacre.server.peer import Client

METHOD = "keyboard-interactive"
_PASSWORD, _PUBLIC_KEY = "password", "publickey"

_NO_QUESTION = -1
"""The prompts of a dialogue that has asked nothing yet, is at work, or is over."""

_NOT_ASKED = "responses to no question"

_CHANGES = 3
"""How many new passwords a dialogue takes."""

# A code shows on the screen: it is worth nothing once it was used. Programs that answer prompts
# without echo with a password do not send it to this one.
_CODE = Prompt("Verification code: ", True)

EXPIRED = "The password has expired. Choose a new one."

_ENROL = """
{code}
This account needs a second factor. Scan the QR code with an authenticator app, or
type this key into it: {key}
Then give the code that it shows.
Verification code: """

_RECOVERY = """
The second factor is set up. These are recovery codes, for when the device is lost.
Each is good for one login. Keep them in a safe place: they are not shown again.

{codes}

Press Enter when you have them: """


class DialogueStage(enum.Enum):
    """What the last challenge of a dialogue has asked for."""

    PASSWORD = enum.auto()
    CODE = enum.auto()
    ENROL = enum.auto()
    TOLD = enum.auto()
    CHANGE = enum.auto()


@dataclass(slots=True)
class Dialogue:
    """One dialogue with the client of a connection.

    :ivar name: the user.
    :ivar by_password: whether the password was shown.
    :ivar needs_code: whether the second factor has to be shown yet.
    :ivar stage: what was asked last, and ``prompts``, by how many prompts.
    :ivar changes: how many new passwords were given.
    """

    name: str
    by_password: bool
    needs_code: bool
    stage: DialogueStage = DialogueStage.PASSWORD
    prompts: int = _NO_QUESTION
    changes: int = 0

    def ask(self, stage: DialogueStage, *prompts: Prompt, text: str = "") -> Challenge:
        """Return a challenge, whose responses are those to the stage."""
        self.stage, self.prompts = stage, len(prompts)
        return Challenge("", text, prompts)


class DialoguePolicy(Protocol):
    """What the policy answers to a dialogue."""

    async def verified(self, user: str, password: str, connection: Client) -> User | None:
        """Return the user if this is the password, and the user may log in. Log a refusal."""

    async def vouched(self, user: str, password: str, connection: Client) -> bool:
        """Tell whether the API has given the user this one-time password. Log a refusal."""

    def admitted(self, user: str, connection: Client) -> User | None:
        """Return the user, who may log in, or None. Log a refusal."""

    def enrolled(self, user: str, connection: Client) -> bool:
        """Tell whether the user has a second factor."""

    async def set_password(self, user: User, new: str, connection: Client) -> str | None:
        """Set a new password, or return for the user why not."""


class Dialogues:
    """The dialogues of all connections, each of which has one at a time."""

    def __init__(self, store: UserStore, asked: DialoguePolicy, threads: UserThreads) -> None:
        self._store = store
        self._asked = asked
        self._threads = threads
        self._open: WeakKeyDictionary[Client, Dialogue] = WeakKeyDictionary()
        self._offered: WeakKeyDictionary[Client, tuple[str, bytes]] = WeakKeyDictionary()

    def forget(self, connection: Client) -> None:
        """Drop the dialogue of a client who names a user anew: nothing of it counts any more."""
        self._open.pop(connection, None)

    async def step(
        self, candidate: Candidate, auth: str, responses: tuple[str, ...] | None, connection: Client
    ) -> bool | Challenge:
        """Return the next challenge or the outcome.

        :param auth: what the user must show, one of
            :data:`~nacre.daemon.store.values.AUTH_POLICIES`.
        :param responses: the answers to the last challenge, or None to begin.
        """
        if responses is None:
            by_password = _PASSWORD in connection.methods
            dialogue = Dialogue(candidate.user, by_password, candidate.needs_code)
            self._open[connection] = dialogue
            if _needs_password(candidate, auth, connection.methods):
                return dialogue.ask(DialogueStage.PASSWORD, Prompt("Password: ", False))
            return await self._go_on(dialogue, connection)
        # A gate that was taken over may answer what nobody has asked.
        found = self._open.get(connection)
        if found is None:
            return self._refused(candidate.user, connection, _NOT_ASKED)
        asked, found.prompts = found.prompts, _NO_QUESTION
        if found.name != candidate.user or len(responses) != asked:
            return self._refused(candidate.user, connection, _NOT_ASKED)
        return await _TAKES[found.stage](self, found, responses, connection)

    async def _go_on(self, dialogue: Dialogue, connection: Client) -> bool | Challenge:
        """Ask for what is still missing, or let the user in."""
        name = dialogue.name
        user = self._asked.admitted(name, connection)
        if user is None:
            return False
        if dialogue.needs_code:
            if self._asked.enrolled(name, connection):
                return dialogue.ask(DialogueStage.CODE, _CODE)
            return await self._offer(dialogue, user, connection)
        if dialogue.by_password and user.password_expired():
            return self._ask_new_password(dialogue, EXPIRED)
        return True

    async def _take_password(
        self, dialogue: Dialogue, responses: tuple[str, ...], connection: Client
    ) -> bool | Challenge:
        if responses[0].startswith(ONE_TIME_PREFIX):
            dialogue.needs_code = False
            vouched = await self._asked.vouched(dialogue.name, responses[0], connection)
            return vouched and await self._go_on(dialogue, connection)
        if await self._asked.verified(dialogue.name, responses[0], connection) is None:
            return False
        dialogue.by_password = True
        return await self._go_on(dialogue, connection)

    async def _take_code(
        self, dialogue: Dialogue, responses: tuple[str, ...], connection: Client
    ) -> bool | Challenge:
        check = partial(self._store.factors.check, dialogue.name, responses[0])
        reason = await self._threads.run_for_login(dialogue.name, connection, check)
        if reason is not None:
            return self._refused(dialogue.name, connection, reason)
        dialogue.needs_code = False
        return await self._go_on(dialogue, connection)

    # --- a second factor that is new ---

    async def _offer(self, dialogue: Dialogue, user: User, connection: Client) -> bool | Challenge:
        """Show a new secret, if the user may enrol now."""
        name = dialogue.name
        if not user.may_enrol():
            reason = (
                "the user has no second factor, and may not enrol one now: use "
                f"`nacre user totp enrol {name}`, or --enrol-within"
            )
            return self._refused(name, connection, reason)
        # A client that begins anew after a wrong code gets the same secret.
        owner, secret = self._offered.get(connection, ("", b""))
        if owner != name:
            secret = new_secret()
            self._offered[connection] = name, secret
        uri = provisioning_uri(secret, name, socket.gethostname())
        code = await self._threads.run_for_login(name, connection, partial(qr_code, uri))
        # It is a prompt, because OpenSSH's client cuts off an instruction of more than 1 KiB, shows
        # its letters beyond ASCII as numbers, and leaves it out with -q.
        text = _ENROL.format(code=code, key=written(secret))
        return dialogue.ask(DialogueStage.ENROL, Prompt(text, True))

    async def _take_first_code(
        self, dialogue: Dialogue, responses: tuple[str, ...], connection: Client
    ) -> bool | Challenge:
        name, codes = dialogue.name, recovery_codes()
        owner, secret = self._offered[connection]
        if owner != name:
            return self._refused(name, connection, _NOT_ASKED)
        enrol = partial(self._store.factors.enrol_by_code, name, secret, responses[0], codes)
        reason = await self._threads.run_for_login(name, connection, enrol)
        if reason is not None:
            return self._refused(name, connection, reason)
        del self._offered[connection]
        connection.record("changed", name=safe(name), what="second factor enrolled")
        dialogue.needs_code = False
        pairs = (f"{one}  {two}" for one, two in zip(codes[::2], codes[1::2], strict=True))
        text = _RECOVERY.format(codes="\n".join(pairs))
        return dialogue.ask(DialogueStage.TOLD, Prompt(text, True))

    async def _take_nothing(
        self, dialogue: Dialogue, responses: tuple[str, ...], connection: Client
    ) -> bool | Challenge:
        return await self._go_on(dialogue, connection)

    # --- a password that has expired ---

    def _ask_new_password(self, dialogue: Dialogue, text: str) -> Challenge:
        prompts = Prompt("New password: ", False), Prompt("Repeat the new password: ", False)
        return dialogue.ask(DialogueStage.CHANGE, *prompts, text=text)

    async def _take_new_password(
        self, dialogue: Dialogue, responses: tuple[str, ...], connection: Client
    ) -> bool | Challenge:
        user = self._asked.admitted(dialogue.name, connection)
        if user is None:
            return False
        new, again = responses
        reason: str | None = "the two differ"
        if new == again:
            reason = await self._asked.set_password(user, new, connection)
        if reason is None:
            return await self._go_on(dialogue, connection)
        dialogue.changes += 1
        if dialogue.changes == _CHANGES:
            return self._refused(dialogue.name, connection, f"no new password: {reason}")
        return self._ask_new_password(dialogue, f"{EXPIRED} This one can't be: {reason}")

    def _refused(self, name: str, connection: Client, reason: str) -> bool:
        connection.record("refused", method=METHOD, name=safe(name), reason=reason)
        return False


_Take: TypeAlias = Callable[
    [Dialogues, Dialogue, tuple[str, ...], Any], Awaitable["bool | Challenge"]
]

_TAKES: Mapping[DialogueStage, _Take] = {
    DialogueStage.PASSWORD: Dialogues._take_password,
    DialogueStage.CODE: Dialogues._take_code,
    DialogueStage.ENROL: Dialogues._take_first_code,
    DialogueStage.TOLD: Dialogues._take_nothing,
    DialogueStage.CHANGE: Dialogues._take_new_password,
}


def _needs_password(candidate: Candidate, auth: str, methods: tuple[str, ...]) -> bool:
    """Tell whether the dialogue begins with the password.

    What ``AuthenticationMethods`` lists as keyboard-interactive is the password, and the code comes
    behind it. Otherwise a key is enough before the code where it is enough without.
    """
    listed = candidate.config.authentication_methods
    if _PASSWORD in methods:
        return not candidate.needs_code
    if any(one.split(":")[0] == METHOD for alternative in listed for one in alternative):
        return True
    by_key = _PUBLIC_KEY in methods and auth in ("any", "publickey")
    return not (candidate.needs_code and by_key)
