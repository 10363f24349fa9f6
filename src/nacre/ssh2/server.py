"""The server's end of an SSH-2 connection: what only it sends and takes up to the login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.crypto.packets.seal import Random
from nacre.errors import (
    ConfigurationError,
    DisconnectCode,
    LocalProtocolError,
    RemoteProtocolError,
)
from nacre.protocol.asks import SessionProof
from nacre.protocol.options import ServerOptions
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.auth.server import ServerAuth
from nacre.ssh2.engine import USERAUTH, SSH2Engine
from nacre.ssh2.transport.messages import ServiceAccept, ServiceRequest
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.protocol.frozen import FrozenServer


class SSH2Server(SSH2Engine):
    """The server's end of an SSH-2 connection.

    :param random: a source of randomness: n -> n bytes.
    :raises ConfigurationError: no host key fits the host key algorithms, or ``zlib`` is offered
        although another process is to go on after the login.
    """

    role = Role.SERVER
    _auth: ServerAuth | None

    def __init__(self, options: ServerOptions, *, random: Random) -> None:
        super().__init__(options, options.host_keys, random=random)
        self._server_options = options
        if options.handover and "zlib" in options.algorithms.compression:
            raise ConfigurationError(
                "compression zlib can't be handed to another process; offer zlib@openssh.com, "
                "which starts after the login"
            )
        self._kex.keeps_keys = options.handover

    def _receive_service_request(self, payload: Buffer) -> None:
        service = ServiceRequest.decode(payload).service
        if service != USERAUTH:
            raise RemoteProtocolError(
                f"the service {safe(service, 64)} is not available before authentication",
                DisconnectCode.SERVICE_NOT_AVAILABLE,
            )
        if self._auth is None:
            assert self._kex.session is not None
            self._auth = self._authentication(self._kex.session)
        self._outbox.send(ServiceAccept(service).encode())

    def _authentication(self, session: SessionProof) -> ServerAuth:
        options = self._server_options
        freeze = self.freeze if options.handover else None
        return ServerAuth(self._outbox, self.events, self._asks, options, session, freeze)

    def freeze(self) -> FrozenServer:
        """Return the state of the connection, and end this engine without a word to the client.

        A question about the handover gives the owner this method; nothing else may have been sent
        or read since. An engine that was thawed may be frozen again when it is at rest.

        :raises LocalProtocolError: no such question is open, nor is the engine at rest.
        """
        from nacre.protocol.frozen import FrozenServer

        auth, kex = self._auth, self._kex
        asked = self.phase is Phase.AUTHENTICATION and auth is not None and auth.accepted
        if auth is None or not (asked or self._at_rest):
            raise LocalProtocolError("a connection is frozen at AskHandover or at rest only")
        assert kex.session is not None
        assert kex.chosen is not None
        self.phase = Phase.CLOSED
        self._asks.withdraw_all()
        return FrozenServer(
            user=auth.user,
            methods=auth.methods,
            limits=auth.limits,
            lines=kex.lines,
            session_id=kex.session_id,
            host_key=kex.session.host_key,
            strict=kex.strict,
            told=self._mux is not None,
            no_more_sessions=self._mux is not None and self._mux.globals.no_more_sessions,
            pings=self.pings,
            chosen=kex.chosen,
            age=int(self._now - self._keys_since),
            incoming=self._inbox.freeze(),
            outgoing=self._outbox.freeze(),
        )

    @property
    def _at_rest(self) -> bool:
        """Whether a frozen state has all there is: nothing is open, under way or unanswered."""
        inbox, outbox = self._inbox, self._outbox
        return (
            self.phase is Phase.CONNECTION
            and inbox.keys is not None
            and outbox.keys is not None
            and not (inbox.left or inbox.decompresses or outbox.compresses)
            and not (outbox.size or outbox.asked or self._kex.active or self.events)
            and self._asks.none_open
            and not self.connection.channels
        )
