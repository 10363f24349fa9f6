"""The client's end of an SSH-2 connection: what only it sends and takes up to the login."""

from __future__ import annotations

from nacre.crypto.packets.seal import Random
from nacre.errors import RemoteProtocolError
from nacre.protocol.options import ClientOptions
from nacre.protocol.phases import Role
from nacre.ssh2.auth.client import ClientAuth
from nacre.ssh2.auth.server import ServerAuth
from nacre.ssh2.engine import USERAUTH, SSH2Engine
from nacre.ssh2.transport.kex import HOST_BOUND_EXTENSION, SIGNATURE_EXTENSION
from nacre.ssh2.transport.messages import ServiceAccept
from nacre.wire import codec
from nacre.wire.codec import Buffer


class SSH2Client(SSH2Engine):
    """The client's end of an SSH-2 connection.

    :param random: a source of randomness: n -> n bytes.
    """

    role = Role.CLIENT
    _auth: ClientAuth | None

    def __init__(self, options: ClientOptions, *, random: Random) -> None:
        super().__init__(options, (), random=random)
        self._client_options = options
        self._server_algorithms: tuple[str, ...] | None = None
        self._host_bound = False
        self._begun: ClientAuth | None = None

    def _receive_service_accept(self, payload: Buffer) -> None:
        # Old servers name no service.
        if len(payload) > 1 and ServiceAccept.decode(payload).service != USERAUTH:
            raise RemoteProtocolError("the server accepted a service that was not asked for")
        self._begin_auth()
        self._auth = self._begun

    def _begin_auth(self) -> None:
        if self._begun is None:
            assert self._kex.session is not None
            self._begun = ClientAuth(
                self._outbox, self.events, self._asks, self._client_options, self._kex.session
            )
            self._begun.server_algorithms = self._server_algorithms
            self._begun.host_bound = self._host_bound
            self._begun.start()

    def _extended(self, extensions: dict[str, bytes]) -> None:
        names = extensions.get(SIGNATURE_EXTENSION)
        if names is not None:
            self._server_algorithms = codec.names(names)
            if self._begun is not None:
                self._begun.server_algorithms = self._server_algorithms
        if extensions.get(HOST_BOUND_EXTENSION) == b"0" and self._client_options.host_bound:
            self._host_bound = True
            if self._begun is not None:
                self._begun.host_bound = True
        # All that the first request depends on is known now, so it is sent without waiting for
        # SERVICE_ACCEPT, which is still the only message of the server that may follow.
        self._begin_auth()

    def _advance_auth(self, auth: ClientAuth | ServerAuth) -> None:
        if isinstance(auth, ClientAuth) and auth.gave_up is not None:
            raise auth.gave_up
        super()._advance_auth(auth)
