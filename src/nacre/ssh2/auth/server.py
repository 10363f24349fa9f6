"""The server's side of authentication (RFC 4252 section 5)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from nacre.errors import DisconnectCode, RemoteProtocolError
from nacre.protocol.asks import AskHandover, Asks, AskUser, SessionProof, UserRequirement
from nacre.protocol.events import Authenticated, AuthResult, Event
from nacre.protocol.options import ServerOptions
from nacre.protocol.requirement import Requirement, satisfied, useful
from nacre.ssh2.auth import gssapi, hostbased, keyboard_interactive, password, publickey
from nacre.ssh2.auth.attempt import SERVICE, Attempt, MethodRunner, check_length
from nacre.ssh2.auth.messages import (
    HOST_BOUND,
    UserauthBanner,
    UserauthFailure,
    UserauthRequest,
    UserauthSuccess,
)
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.transport.outbox import Outbox
from nacre.value import replace
from nacre.wire.codec import Buffer
from nacre.wire.message import Message
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.protocol.frozen import FrozenServer

_SUCCESS = UserauthSuccess().encode()

_CHECKS = {
    "publickey": publickey.check,
    "password": password.check,
    "keyboard-interactive": keyboard_interactive.check,
    "hostbased": hostbased.check,
    "gssapi-keyex": gssapi.check_keyex,
    "gssapi-with-mic": gssapi.check,
}


class ServerAuth(MethodRunner[bool | Message]):
    """Accepts a user once the methods that the policy requires have succeeded.

    ``receive``, and the answer to each of its questions, may raise RemoteProtocolError.

    :param session: the session's identifier and the host key of its first exchange.
    :param freeze: freezes the engine, if another process may go on after the login.
    :ivar accepted: True once all required methods succeeded.
    :ivar succeeded: True once SSH_MSG_USERAUTH_SUCCESS was sent.
    :ivar user: the user name of the latest request.
    :ivar methods: the methods that succeeded for that user, in order.
    :ivar limits: the bounds of that user's connection.
    """

    def __init__(
        self,
        outbox: Outbox,
        events: list[Event],
        asks: Asks,
        options: ServerOptions,
        session: SessionProof,
        freeze: Callable[[], FrozenServer] | None = None,
    ) -> None:
        super().__init__(outbox, asks, AuthStage.SERVER_REQUEST)
        self.accepted = False
        self.succeeded = False
        self.user = ""
        self.methods: tuple[str, ...] = ()
        self._events = events
        self.limits = options.limits
        self._server_options = options
        self._options = options
        self._session = session
        self._freeze = freeze
        self._requirement: Requirement = ()
        self._attempt = self._new_attempt("none")
        self._banner_sent = False
        self._requests = 0
        self._failures = 0

    def receive(self, payload: Buffer) -> None:
        if payload[0] == UserauthRequest.NUMBER:
            self._request(UserauthRequest.decode(payload))
        else:
            self._resume(payload)

    def _request(self, request: UserauthRequest) -> None:
        limits = self._options.limits
        if self._steps is not None:
            self._give_up_on_method()
        self._requests += 1
        if self._requests > limits.auth_requests:
            raise _refusal("too many authentication requests")
        check_length(
            "the user name", request.user, limits.user_name, DisconnectCode.ILLEGAL_USER_NAME
        )
        if request.service != SERVICE:
            raise RemoteProtocolError(
                f"the service {safe(request.service, 64)} is not available to log in to",
                DisconnectCode.SERVICE_NOT_AVAILABLE,
            )
        if self._requests == 1 or request.user != self.user:
            # The successes of one user must never count for another (RFC 4252 section 5).
            self.user, self.methods, self._requirement = request.user, (), ()
            self._asks.ask(AskUser(user=request.user), partial(self._begin, request))
        else:
            self._evaluate(request)

    def _give_up_on_method(self) -> None:
        """A new request abandons the method in use; nothing is sent for it (RFC 4252 5.1)."""
        self._abandon()
        self.stage = AuthStage.SERVER_REQUEST
        self._attempt.explain("abandoned")
        self._count_failure()

    def _begin(self, request: UserauthRequest, answer: UserRequirement) -> None:
        self._requirement = answer.requirement
        self.limits = answer.limits or self._server_options.limits
        self._options = self._server_options
        if (answer.limits, answer.signatures, answer.ca_signatures) != (None, None, None):
            self._options = options_for(self._options, answer)
        if answer.banner and not self._banner_sent:
            self._banner_sent = True
            self._outbox.send(UserauthBanner(answer.banner, "").encode())
        self._evaluate(request)

    def _evaluate(self, request: UserauthRequest) -> None:
        host_bound = request.method == HOST_BOUND
        method = "publickey" if host_bound else request.method
        self._attempt = self._new_attempt(method, host_bound=host_bound)
        if method == "none":
            self._ended(frozenset() in self._requirement)
        elif method in self._can_continue():
            self._run(_CHECKS[method](self._attempt, request.fields))
        else:
            self._ended(False)

    def _new_attempt(self, method: str, *, host_bound: bool = False) -> Attempt:
        verify = self._server_options.verify
        return Attempt(self.user, method, self._session, self._options, host_bound, verify)

    def _can_continue(self) -> tuple[str, ...]:
        methods = useful(self._requirement, self.methods)
        if "gssapi-keyex" in methods and self._session.context is None:
            return tuple(method for method in methods if method != "gssapi-keyex")
        return methods

    def _ended(self, result: bool | Message) -> None:
        self.stage = AuthStage.SERVER_REQUEST
        if isinstance(result, Message):
            self._outbox.send(result.encode())
        elif not result:
            self._count_failure()
            self._outbox.send(UserauthFailure(self._can_continue(), False).encode())
        else:
            self.methods = (*self.methods, self._attempt.method)
            self._method_succeeded()

    def _method_succeeded(self) -> None:
        if satisfied(self._requirement, self.methods):
            self.accepted = True
            self._report("success")
            if self._freeze is None:
                self.let_in()
            else:
                ask = AskHandover(user=self.user, methods=self.methods, freeze=self._freeze)
                self._asks.ask(ask, lambda _: self.let_in())
        else:
            self._report("partial")
            self._outbox.send(UserauthFailure(self._can_continue(), True).encode())

    def let_in(self) -> None:
        """Tell the client that it is in."""
        self._outbox.send(_SUCCESS)
        self.stage = AuthStage.DONE
        self.succeeded = True
        self._events.append(Authenticated(self.user, self.methods))

    def _count_failure(self) -> None:
        # Clients send "none" first to learn the methods: that is not a guess at a secret.
        if self._attempt.method != "none" or self._requests > 1:
            self._failures += 1
        self._report("failure")
        if self._failures >= self._options.limits.auth_attempts:
            raise _refusal("too many authentication failures")

    def _report(self, outcome: Literal["success", "partial", "failure"]) -> None:
        can_continue = () if outcome == "success" else self._can_continue()
        method, detail = safe(self._attempt.method, 64), self._attempt.detail
        self._events.append(
            AuthResult(self.user, method, detail, outcome, can_continue, self._failures)
        )


def options_for(server: ServerOptions, answer: UserRequirement) -> ServerOptions:
    """Return the options of a user's connection: the server's, with what is another's for it."""
    limits, algorithms = answer.limits or server.limits, server.algorithms
    if answer.signatures is not None:
        algorithms = replace(algorithms, signatures=answer.signatures)
    if answer.ca_signatures is not None:
        algorithms = replace(algorithms, ca_signatures=answer.ca_signatures)
    return replace(server, limits=limits, algorithms=algorithms)


def _refusal(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(reason, DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE)
