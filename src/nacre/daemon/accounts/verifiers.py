"""What verifies the passwords of system accounts and judges their state: PAM, or the shadow file.

Nothing here decides who may try: the policy does (system.py), and asks in the same way about users
who may not, with passwords that are nobody's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from nacre.daemon.accounts import shadow
from nacre.daemon.accounts.accounts import find_account, without_style
from nacre.daemon.processes.pam.logins import PAMLogins
from nacre.daemon.processes.pam.messages import Judged, Prompts
from nacre.errors import AccountError

if TYPE_CHECKING:
    from nacre.daemon.accounts.candidate import Candidate
    from nacre.daemon.processes.pam.login import PAMLogin
    from nacre.server.admission.user_threads import UserThreads
    from nacre.server.peer import Client

T = TypeVar("T")

_NOLOGIN = Path("/etc/nologin")


class Verifier(Protocol):
    """Verifies passwords and judges accounts; a failure is an outcome."""

    async def check(
        self,
        candidate: Candidate,
        client: Client,
        password: str | None,
        new: str | None = None,
    ) -> Judged:
        """Check the account, and the password unless that is None.

        :param new: takes the place of the password if that is right and has expired.
        """

    async def converse(
        self,
        candidate: Candidate,
        client: Client,
        responses: Sequence[str] | None,
        *,
        pretended: bool,
    ) -> Prompts | Judged:
        """Check the account, and who the user is by a dialogue.

        :param responses: the answers to the last prompts, or None to begin.
        :param pretended: the user may not log in anyway.
        """

    def login(self, client: Client) -> PAMLogin | None:
        """Return what opens the session of a client who was let in, or None if nothing does."""


class ShadowVerifier:
    """Reads the shadow file; see :class:`Verifier`."""

    def __init__(self, threads: UserThreads) -> None:
        self._threads = threads

    async def check(
        self,
        candidate: Candidate,
        client: Client,
        password: str | None,
        new: str | None = None,
    ) -> Judged:
        """Check the account, and the password unless that is None; change none."""
        check = partial(_by_shadow, candidate, password)
        return await self._threads.run_for_login(candidate.user, client, check)

    async def converse(
        self,
        candidate: Candidate,
        client: Client,
        responses: Sequence[str] | None,
        *,
        pretended: bool,
    ) -> Prompts | Judged:
        """Prompt for the password."""
        if responses is None:
            return Prompts((), (("Password: ", False),))
        if len(responses) != 1:
            return Judged("there is one prompt")
        return await self.check(candidate, client, responses[0])

    def login(self, client: Client) -> None:
        """Return None."""


def _by_shadow(candidate: Candidate, password: str | None) -> Judged:
    name = without_style(candidate.user)
    empty = candidate.config.permit_empty_passwords
    refusal = shadow.refusal(name, password, empty=empty)
    if refusal is None and _NOLOGIN.exists() and find_account(name).uid != 0:
        refusal = f"{_NOLOGIN} exists"
    return Judged(refusal or "")


class PAMVerifier:
    """Asks PAM, in a process for each login; see :class:`Verifier`."""

    def __init__(self, threads: UserThreads) -> None:
        self._logins = PAMLogins(threads)

    async def _ask(
        self,
        candidate: Candidate,
        client: Client,
        request: Callable[[PAMLogin], Awaitable[T]],
    ) -> T | Judged:
        """Make a request of the client's process, which is started for the first one."""
        name, service = without_style(candidate.user), candidate.config.pam_service_name
        try:
            return await request(await self._logins.begin(name, client, service))
        except AccountError as error:
            return Judged(str(error))

    async def check(
        self,
        candidate: Candidate,
        client: Client,
        password: str | None,
        new: str | None = None,
    ) -> Judged:
        """Check the account, and the password unless that is None."""
        empty = candidate.config.permit_empty_passwords

        def check(login: PAMLogin) -> Awaitable[Judged]:
            if password is None:
                return login.check_account()
            return login.check_password(password, empty=empty, new=new)

        return await self._ask(candidate, client, check)

    async def converse(
        self,
        candidate: Candidate,
        client: Client,
        responses: Sequence[str] | None,
        *,
        pretended: bool,
    ) -> Prompts | Judged:
        """Pass on what PAM asks."""
        empty = candidate.config.permit_empty_passwords

        def step(login: PAMLogin) -> Awaitable[Prompts | Judged]:
            if responses is not None:
                return login.respond(responses)
            return login.hold_dialogue(empty=empty, pretended=pretended)

        return await self._ask(candidate, client, step)

    def login(self, client: Client) -> PAMLogin | None:
        """Return the process of the client's login."""
        return self._logins.find(client)
