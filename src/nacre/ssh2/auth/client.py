"""The client's side of authentication (RFC 4252 section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from nacre.errors import NacreError, PacketTooLarge, RemoteProtocolError
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    Asks,
    GiveUp,
    SessionProof,
    TryGSSAPIKeyex,
    TryGSSAPIWithMIC,
    TryHostBased,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import AuthBanner, Authenticated, AuthResult, Event
from nacre.protocol.options import ClientOptions
from nacre.ssh2.auth import gssapi, hostbased, keyboard_interactive, password, publickey
from nacre.ssh2.auth.attempt import Attempt, Exchange, MethodRunner, Steps
from nacre.ssh2.auth.messages import UserauthBanner, UserauthFailure
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.auth.texts import shown
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.codec import Buffer


class ClientAuth(MethodRunner[NacreError | None]):
    """Asks its owner which method to try, and tries it, until the server accepts the user.

    :param session: the session's identifier and the server's host key.
    :ivar server_algorithms: the server's ``server-sig-algs`` (RFC 8308 section 3.1), or None.
    :ivar host_bound: whether requests of ``publickey`` name the server's host key.
    :ivar succeeded: True once SSH_MSG_USERAUTH_SUCCESS was received.
    :ivar limits: the bounds of the connection.
    :ivar gave_up: the error to end the connection with, once the owner gave up.
    """

    def __init__(
        self,
        outbox: Outbox,
        events: list[Event],
        asks: Asks,
        options: ClientOptions,
        session: SessionProof,
    ) -> None:
        super().__init__(outbox, asks, AuthStage.CLIENT_IDLE)
        self.server_algorithms: tuple[str, ...] | None = None
        self.host_bound = False
        self.succeeded = False
        self.gave_up: NacreError | None = None
        self.user = options.user
        self.methods: tuple[str, ...] = ()
        self._events = events
        self.limits = options.limits
        self._options = options
        self._session = session
        self._attempt = self._new_attempt("none")
        self._can_continue: tuple[str, ...] = ()
        self._partial = False
        self._failures = 0
        self._banner_left = options.limits.banner

    def start(self) -> None:
        """Ask which method to try first. Call it once ``ssh-userauth`` may be used."""
        self._ask()

    def receive(self, payload: Buffer) -> None:
        handle = {51: self._failure, 52: self._success, 53: self._banner}
        if self.stage is AuthStage.CLIENT_TOKEN:
            handle |= {64: self._security_error, 65: self._ignore}
        handle.get(payload[0], self._resume)(payload)

    def _new_attempt(self, method: str) -> Attempt:
        keyed = self._session.host_key is not None
        host_bound = self.host_bound and keyed and method == "publickey"
        return Attempt(self._options.user, method, self._session, self._options, host_bound)

    def _ask(self) -> None:
        self.stage = AuthStage.CLIENT_IDLE
        question = AskAuthentication(
            can_continue=self._can_continue,
            partial=self._partial,
            server_algorithms=self.server_algorithms,
            session=self._session,
        )
        self._asks.ask(question, self._try)

    def _try(self, chosen: Answer) -> None:
        if isinstance(chosen, GiveUp):
            self.gave_up = chosen.error
            return
        method, prove = _METHODS[type(chosen)]
        self._attempt = self._new_attempt(method)
        self._run(prove(self._attempt, chosen, self.server_algorithms))

    def _ended(self, result: NacreError | None) -> None:
        """Take the end of a method on our side, without a verdict of the server."""
        self.stage = AuthStage.CLIENT_IDLE
        if result is not None:
            self.gave_up = result
            return
        self._report("failure")
        self._ask()

    def _failure(self, payload: Buffer) -> None:
        if len(payload) > self._options.limits.name_list:
            raise PacketTooLarge("the list of authentication methods is too long")
        message = UserauthFailure.decode(payload)
        self._abandon()
        self._can_continue = message.can_continue
        self._partial = message.partial_success
        if self._partial:
            self.methods = (*self.methods, self._attempt.method)
            self._report("partial")
        else:
            self._failures += 1
            self._report("failure")
        self._ask()

    def unimplemented(self) -> None:
        """Take UNIMPLEMENTED as the failure of the running attempt; its method is not tried again.

        :raises RemoteProtocolError: the server named no other method.
        """
        if self._steps is None:
            return
        method = self._attempt.method
        self._can_continue = tuple(name for name in self._can_continue if name != method)
        if not self._can_continue:
            raise RemoteProtocolError(
                f"the server does not know the authentication method {method}, and named no other"
            )
        self._abandon()
        self._attempt.explain("the server does not know this method")
        self._failures += 1
        self._report("failure")
        self._ask()

    def _security_error(self, payload: Buffer) -> None:
        gssapi.explain_error(self._attempt, payload)

    def _ignore(self, payload: Buffer) -> None:
        """Take the server's last token of a context that it gives up; a failure follows."""

    def _success(self, payload: Buffer) -> None:
        # It has no fields; OpenSSH looks at none that a server adds.
        self._abandon()
        self._can_continue = ()
        self.methods = (*self.methods, self._attempt.method)
        self.stage = AuthStage.DONE
        self.succeeded = True
        self._report("success")
        self._events.append(Authenticated(self.user, self.methods))

    def _banner(self, payload: Buffer) -> None:
        text = UserauthBanner.decode(payload).text
        if text and self._banner_left > 0:
            self._events.append(AuthBanner(shown(text, self._banner_left)))
            self._banner_left -= len(payload)

    def _report(self, outcome: Literal["success", "partial", "failure"]) -> None:
        method, detail = self._attempt.method, self._attempt.detail
        self._events.append(
            AuthResult(self.user, method, detail, outcome, self._can_continue, self._failures)
        )


def _prove_none(
    attempt: Attempt, chosen: TryNone, server_algorithms: tuple[str, ...] | None
) -> Steps[NacreError | None]:
    yield Exchange(attempt.request(), AuthStage.CLIENT_WAITING)
    return None


_Prove = Callable[[Attempt, Any, tuple[str, ...] | None], Steps[NacreError | None]]

_METHODS: dict[type[Answer], tuple[str, _Prove]] = {
    TryNone: ("none", _prove_none),
    TryPublicKey: ("publickey", publickey.prove),
    TryPassword: ("password", password.prove),
    TryHostBased: ("hostbased", hostbased.prove),
    TryGSSAPIKeyex: ("gssapi-keyex", gssapi.prove_keyex),
    TryGSSAPIWithMIC: ("gssapi-with-mic", gssapi.prove),
    TryKeyboardInteractive: ("keyboard-interactive", keyboard_interactive.prove),
}
"""For each answer to ``AskAuthentication``: the method's name, and the generator that runs it."""
