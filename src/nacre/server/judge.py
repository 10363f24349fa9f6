"""Answers the questions of a login from a policy.

The process that has the connection has its judge, too; where strangers meet a process without
rights, the judge is in the one that knows the users and holds the host keys. So a judge knows a
:class:`~nacre.server.peer.Client`, and no connection.

Goals: every question gets exactly one answer; a policy that raises, or returns anything but a
permitted answer, has refused. Which method answers which question is in the table at the bottom.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias, cast

from nacre.aio.maybe import Maybe, settled
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskHostBased,
    AskKeyboardInteractive,
    AskPassword,
    AskPrincipal,
    AskPublicKey,
    AskRSAKey,
    AskSecurityStep,
    AskUser,
    Denied,
    Granted,
    PasswordExpired,
    RSAKey,
    UserRequirement,
)
from nacre.server.peer import Client, ServerConnection
from nacre.server.policy import ANY_METHOD, Policy
from nacre.server.questions import Questions
from nacre.value import replace


class Judging(Protocol):
    """What answers the questions about one client."""

    def take(self, ask: Ask) -> None:
        """Answer a question, now or later."""


class Judge:
    """Answers the questions about one client, of which one is open at a time.

    :param questions: asks the policy.
    :param banner: what the client is shown before the login, where the policy has no other text.
    """

    handlers: ClassVar[Mapping[type[Ask], Callable[[Judge, Any], None]]]

    __slots__ = ("_banner", "_client", "_policy_failed", "_questions", "_shown")

    def __init__(self, client: Client, questions: Questions, banner: str) -> None:
        self._client = client
        # A program's own policy is asked only where the client is a connection.
        self._shown = cast(ServerConnection, client)
        self._questions = questions
        self._banner = banner
        self._policy_failed = False

    def take(self, ask: Ask) -> None:
        """Answer a question, now or later."""
        self.handlers[type(ask)](self, ask)

    def _consult(self, ask: Ask, question: Callable[[Policy], Maybe[Any]]) -> None:
        """Answer ``ask`` with the policy's answer: True grants, and what is no answer denies."""

        def conclude(answer: bool | Answer | None) -> None:
            if answer is True:
                answer = Granted()
            if self._policy_failed or not isinstance(answer, ask.ANSWERS):
                answer = Denied("the policy refuses")
            self._client.answer(ask.ask_id, answer)

        self._questions.ask_then(question, conclude)

    def _on_user(self, ask: AskUser) -> None:
        client = self._client
        client.methods = ()
        resolve = client.terms.resolve
        if resolve is None:
            self._require(ask)
            return

        async def look_up(resolve: Callable[[str], Awaitable[str]]) -> None:
            client.host = await resolve(client.peer[0])
            self._require(ask)

        client.spawn(look_up(resolve))

    def _require(self, ask: AskUser) -> None:
        """Ask the policy which methods the user must pass."""
        client = self._client

        def conclude(requirement: UserRequirement | None) -> None:
            if client.terms.refuse:
                client.refuse(ask.user)
                return
            if not isinstance(requirement, UserRequirement):
                self._policy_failed = True
                requirement = ANY_METHOD
            if requirement.banner is None:
                requirement = replace(requirement, banner=self._banner)
            client.answer(ask.ask_id, requirement)

        self._questions.ask_then(lambda p: p.requirement(ask.user, self._shown), conclude)

    def _on_password(self, ask: AskPassword) -> None:
        def question(policy: Policy) -> Maybe[bool | PasswordExpired]:
            if ask.new_password is None:
                return policy.password(ask.user, ask.password, self._shown)
            return policy.change_password(ask.user, ask.password, ask.new_password, self._shown)

        self._consult(ask, question)

    def _on_public_key(self, ask: AskPublicKey) -> None:
        self._consult(
            ask, lambda p: p.public_key(ask.user, ask.key, ask.algorithm, ask.signed, self._shown)
        )

    def _on_host_based(self, ask: AskHostBased) -> None:
        self._consult(ask, lambda p: p.host_based(ask.user, ask.host, self._shown))

    def _on_security_step(self, ask: AskSecurityStep) -> None:
        async def take() -> None:
            from nacre.gss.acceptor import step

            answer = await step(ask, strict=self._client.terms.strict_acceptor)
            self._client.answer(ask.ask_id, answer)

        self._client.spawn(take())

    def _on_principal(self, ask: AskPrincipal) -> None:
        self._consult(ask, lambda p: p.gssapi(ask.user, ask.context, self._shown))

    def _on_rsa_key(self, ask: AskRSAKey) -> None:
        async def question(policy: Policy) -> RSAKey | None:
            key = await settled(policy.rsa_key(ask.user, ask.modulus, self._shown))
            return None if key is None else RSAKey(key)

        self._consult(ask, question)

    def _on_keyboard_interactive(self, ask: AskKeyboardInteractive) -> None:
        self._consult(
            ask,
            lambda p: p.keyboard_interactive(ask.user, ask.submethods, ask.responses, self._shown),
        )


Judge.handlers = {
    AskUser: Judge._on_user,
    AskPassword: Judge._on_password,
    AskPublicKey: Judge._on_public_key,
    AskHostBased: Judge._on_host_based,
    AskSecurityStep: Judge._on_security_step,
    AskPrincipal: Judge._on_principal,
    AskRSAKey: Judge._on_rsa_key,
    AskKeyboardInteractive: Judge._on_keyboard_interactive,
}


MakeJudge: TypeAlias = Callable[[Client, Questions, str], Judging]
"""Makes what answers the questions about a client; its parameters are those of :class:`Judge`."""
