"""SSH-1.5: bytes and answers in, events and bytes out (draft-ylonen-ssh-protocol-00).

It works like the SSH-2 engine, whose module explains the theory, with these differences. The
handlers are a dict that grows with the phases; ``_stage`` asks the part in charge for its stage,
and routes.py has the legal messages. There is one key exchange, and no window: if readers do not
keep up, or a request waits for a decision, the engine reads no further packet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nacre.crypto.packets.compress import Compressor, Decompressor
from nacre.crypto.packets.seal import Random
from nacre.errors import (
    ConfigurationError,
    ConnectionLost,
    DisconnectCode,
    Disconnected,
    LocalProtocolError,
    NacreError,
    RemoteProtocolError,
    VersionError,
)
from nacre.keys.families.rsa1 import RSA1PrivateKey
from nacre.keys.rsa1_text import RSA1
from nacre.protocol.asks import Answer, AskHostKey, HostKeyRefused
from nacre.protocol.banner import BannerReader, Identification
from nacre.protocol.engine import ANY_NUMBER
from nacre.protocol.events import (
    Authenticated,
    DebugReceived,
    MessageSeen,
    VersionReceived,
)
from nacre.protocol.machine import Machine
from nacre.protocol.options import ClientOptions, EngineOptions, ServerOptions
from nacre.protocol.phases import Phase, Role
from nacre.ssh1 import messages as msg
from nacre.ssh1 import routes
from nacre.ssh1.auth import SSH1ClientAuth, SSH1ServerAuth
from nacre.ssh1.client import SSH1ClientConnection
from nacre.ssh1.framing import SSH1Inbox, SSH1Outbox
from nacre.ssh1.kex import ClientExchange, ServerExchange
from nacre.ssh1.messages import SSH1Msg
from nacre.ssh1.routes import Stage
from nacre.ssh1.server import SSH1ServerConnection
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

VERSION = "1.5"

_OLDEST = (1, 5)
_LEVELS = range(1, 10)
_LEVEL = 6

Handler = Callable[[Buffer], None]


class _SSH1Engine(Machine):
    """The part that both roles share."""

    def __init__(self, options: EngineOptions, announce: str, *, random: Random) -> None:
        super().__init__(options, announce)
        self._random = random
        self._outbox = SSH1Outbox(self.events, random=random, trace=options.trace)
        self._inbox = SSH1Inbox(options.limits)
        self._connection: SSH1ClientConnection | SSH1ServerConnection | None = None
        self._handlers: dict[int, Handler] = {
            SSH1Msg.DISCONNECT: self._receive_disconnect,
            SSH1Msg.IGNORE: self._receive_ignore,
            SSH1Msg.DEBUG: self._receive_debug,
        }
        self._looping = False
        self._peer_software = ""

    # --- what the owner calls ---

    @property
    def connection(self) -> SSH1ClientConnection | SSH1ServerConnection:
        """Return the layer of channels and requests.

        :raises LocalProtocolError: before authentication is done, and after the end.
        """
        if self._connection is None or self.phase is not Phase.CONNECTION:
            raise LocalProtocolError(f"there are no channels in phase {self.phase.name}")
        return self._connection

    @property
    def wants_input(self) -> bool:
        """Whether to read from the transport: not while a question or a reader is waited for."""
        connection = self._connection
        busy = connection is not None and (connection.waiting or connection.full)
        return not (busy or self._asks.blocking or self.behind or self.phase is Phase.CLOSED)

    @property
    def output_size(self) -> int:
        """How many bytes ``take_output`` would return."""
        return len(self._outbox.buffer)

    @property
    def next_tick(self) -> float | None:
        """None: a connection of SSH-1 has a single key exchange."""
        return None

    def start(self, now: float) -> None:
        """Begin: put our identification line into the outbox. Call it once, before ``receive``."""
        self._send_line(self._line)

    def receive(
        self, data: Buffer, now: float, *, whole: bool = False, most: int = ANY_NUMBER
    ) -> int:
        """Take bytes from the peer; see :meth:`nacre.protocol.engine.Engine.receive`."""
        self._most, self.behind = most, False
        if self.phase is Phase.CLOSED:
            return 0
        try:
            if self._banner is not None:
                data = self._receive_banner(self._banner, data)
            self._inbox.feed(data)
            self._loop()
            self._inbox.check()
        except NacreError as error:
            self._end(error)
        return 0

    def receive_eof(self) -> None:
        """End the connection: the transport ended. Call it when a read returns no bytes."""
        if self.phase is Phase.CLOSED:
            return
        if self._connection is not None and self._connection.over:
            # The session has ended, and either side may close the connection.
            self._close(None)
            return
        seen = self._banner.seen() if self._banner is not None else ""
        more = f" before its identification line was complete; it sent: {seen}" if seen else ""
        self._end(ConnectionLost(f"the peer closed the connection{more}"))

    def tick(self, now: float) -> None:
        """Do nothing: SSH-1 has no timed actions."""

    def take_output(self) -> memoryview:
        """Return the bytes to send; the caller owns them."""
        taken = self._outbox.take()
        if self._connection is not None and self.phase is not Phase.CLOSED:
            self._connection.sent()
        return taken

    def rekey(self) -> None:
        """Refuse.

        :raises LocalProtocolError: always.
        """
        raise LocalProtocolError(
            "SSH-1 can't exchange keys anew: a connection has one key exchange"
        )

    @property
    def pings(self) -> bool:
        """False: PING is a message of SSH-2."""
        return False

    def ping(self, data: bytes = b"") -> None:
        """Refuse: SSH-1 has no message that a peer must answer.

        :raises LocalProtocolError: always.
        """
        raise LocalProtocolError("SSH-1 has no message that a peer must answer")

    # --- the packet loop ---

    @property
    def _stage(self) -> Stage:
        raise NotImplementedError

    def _go_on(self) -> None:
        """Read the packets that waited for an answer or a reader."""
        if self._looping or self.phase is Phase.CLOSED:
            return
        try:
            self._advance()
            self._loop()
        except NacreError as error:
            self._end(error)

    def _loop(self) -> None:
        if self._looping:
            return
        self._looping, most = True, self._most
        try:
            while self._banner is None and self.wants_input:
                payload = self._inbox.next()
                if payload is None:
                    break
                self._take(payload)
                most -= 1
                if not most:
                    self.behind = self.behind or self.wants_input
                    break
        finally:
            self._looping = False

    def _take(self, payload: Buffer) -> None:
        if self._options.trace:
            self.events.append(MessageSeen("in", bytes(payload)))
        number = payload[0]
        if number in routes.LEGAL[self._stage] or number in routes.ALWAYS:
            self._handlers[number](payload)
            self._advance()
        else:
            self._refuse(number)

    def _refuse(self, number: int) -> None:
        try:
            name = f" ({SSH1Msg(number).name})"
        except ValueError:
            name = ""
        where = f"while waiting for {self._stage.value}"
        raise RemoteProtocolError(f"message {number}{name} is not legal {where}")

    def _advance(self) -> None:
        """Enter the next phase, if the present one is over."""
        if self._connection is not None and self._connection.over and self._is_done:
            self._close(None)

    @property
    def _is_done(self) -> bool:
        """Whether this side closes a connection whose session is over."""
        return self.role is Role.SERVER

    # --- phase 1 ---

    def _receive_banner(self, banner: BannerReader, data: Buffer) -> bytes:
        peer = banner.receive(data)
        if peer is None:
            return b""
        self._check_version(peer)
        self.events.append(
            VersionReceived(VERSION, self._line.decode(), safe(peer.line), peer.before)
        )
        self._banner = None
        self._peer_software = peer.software
        self.phase = Phase.KEX
        self._exchange_keys()
        return banner.rest

    def _check_version(self, peer: Identification) -> None:
        """Refuse a peer that does not speak SSH-1; a server that speaks both names 1.99."""
        version = tuple(map(int, peer.protocol.split(".")))
        if version[0] == 1 and version >= _OLDEST:
            return
        other = "server" if self.role is Role.CLIENT else "client"
        raise VersionError(
            f"no SSH version in common: the {other} ({safe(peer.line, 255)}) speaks "
            f"{peer.protocol}, this {self.role.value} speaks {VERSION} only"
        )

    def _exchange_keys(self) -> None:
        raise NotImplementedError

    # --- messages of any phase ---

    def _receive_disconnect(self, payload: Buffer) -> None:
        description = safe(msg.Disconnect.decode(payload).description)
        self._close(Disconnected(DisconnectCode.BY_APPLICATION, description))

    def _receive_ignore(self, payload: Buffer) -> None:
        msg.Ignore.decode(payload)

    def _receive_debug(self, payload: Buffer) -> None:
        self.events.append(DebugReceived(False, safe(msg.Debug.decode(payload).text)))

    # --- phase 4 ---

    def _connect(self, kind: Any, flags: int) -> None:
        """Start the layer of channels: the user is authenticated."""
        self._connection = kind(
            self._outbox,
            self.events,
            self._asks,
            self._limits,
            originators=bool(flags),
            go_on=self._go_on,
            hang_up=self._hang_up,
        )
        self._handlers.update(self._connection.handlers())
        self.phase = Phase.CONNECTION

    def _hang_up(self, description: str) -> None:
        self.disconnect(DisconnectCode.BY_APPLICATION, description)

    def _compress(self) -> None:
        self._outbox.compress_with(Compressor())
        self._inbox.decompress_with(Decompressor(self._limits.decompressed))

    @property
    def _may_compress(self) -> bool:
        return any(name.startswith("zlib") for name in self._options.algorithms.compression)

    # --- the end ---

    def _send_line(self, line: bytes) -> None:
        self._outbox.buffer += line + b"\r\n"

    def _send_disconnect(self, code: DisconnectCode, description: str) -> None:
        self._outbox.send(msg.Disconnect(description))

    def _clear(self) -> None:
        self._inbox.clear()


class SSH1Client(_SSH1Engine):
    """The client's end of an SSH-1 connection.

    :param random: a source of randomness: n -> n bytes.
    """

    role = Role.CLIENT

    def __init__(self, options: ClientOptions, *, random: Random) -> None:
        super().__init__(options, VERSION, random=random)
        self._client_options = options
        self._auth: SSH1ClientAuth | None = None
        self._kex_stage: Stage | None = Stage.PUBLIC_KEY
        self._compressing = False
        self._exchange = ClientExchange(
            options.ssh1_ciphers,
            random=random,
            outbox=self._outbox,
            inbox=self._inbox,
            events=self.events,
        )
        self._handlers[SSH1Msg.SMSG_PUBLIC_KEY] = self._receive_keys
        self._handlers[SSH1Msg.SMSG_SUCCESS] = self._receive_key_taken

    @property
    def _stage(self) -> Stage:
        if self._connection is not None:
            return self._connection.stage
        if self._compressing:
            return Stage.COMPRESSION
        return self._kex_stage or (Stage.CLIENT_IDLE if self._auth is None else self._auth.stage)

    def _exchange_keys(self) -> None:
        """Wait: the server sends its keys first."""

    def _receive_keys(self, payload: Buffer) -> None:
        key = self._exchange.receive_keys(payload)
        self._asks.ask(AskHostKey(key=key, algorithm=RSA1), self._trust)

    def _trust(self, answer: Answer) -> None:
        if isinstance(answer, HostKeyRefused):
            raise answer.error
        self._exchange.send_session_key()
        self._kex_stage = Stage.KEY_TAKEN

    def _receive_key_taken(self, payload: Buffer) -> None:
        msg.Success.decode(payload)
        self._exchange.done()
        self._kex_stage = None
        self.phase = Phase.AUTHENTICATION
        exchange = self._exchange
        self._auth = SSH1ClientAuth(
            self._outbox,
            self.events,
            self._asks,
            self._client_options,
            exchange.session_id,
            exchange.methods,
            software=self._peer_software,
        )
        self._handlers.update(self._auth.handlers())
        self._auth.start()

    def _advance(self) -> None:
        auth = self._auth
        if auth is not None and self._connection is None and not self._compressing:
            if auth.gave_up is not None:
                raise auth.gave_up
            if auth.succeeded:
                self._logged_in(auth)
        super()._advance()

    def _logged_in(self, auth: SSH1ClientAuth) -> None:
        """Request compression first, if it is preferred; then start the layer of channels."""
        if self._options.algorithms.compression[0] == "none":
            self._open(auth)
            return
        self._compressing = True
        self._handlers[SSH1Msg.SMSG_SUCCESS] = self._receive_compression
        self._handlers[SSH1Msg.SMSG_FAILURE] = self._receive_compression
        self._outbox.send(msg.RequestCompression(_LEVEL))

    def _receive_compression(self, payload: Buffer) -> None:
        if payload[0] == SSH1Msg.SMSG_SUCCESS:
            self._compress()
        assert self._auth is not None
        self._open(self._auth)

    def _open(self, auth: SSH1ClientAuth) -> None:
        self._connect(SSH1ClientConnection, self._exchange.flags)
        self.events.append(Authenticated(auth.user, auth.methods))


class SSH1Server(_SSH1Engine):
    """The server's end of an SSH-1 connection.

    :param server_key: the key that is replaced each hour; see :func:`nacre.ssh1.kex.server_key`.
    :param random: a source of randomness: n -> n bytes.
    :raises ConfigurationError: there is no RSA1 host key, or the two keys' sizes are too close.
    """

    role = Role.SERVER

    def __init__(
        self, options: ServerOptions, *, server_key: RSA1PrivateKey, random: Random
    ) -> None:
        super().__init__(options, options.announce, random=random)
        self._server_options = options
        self._auth: SSH1ServerAuth | None = None
        self._compresses = False
        self._exchange = ServerExchange(
            host_key(options),
            server_key,
            options.ssh1_ciphers,
            random=random,
            outbox=self._outbox,
            inbox=self._inbox,
            events=self.events,
        )
        self._handlers[SSH1Msg.CMSG_SESSION_KEY] = self._receive_session_key

    @property
    def _stage(self) -> Stage:
        if self._connection is not None:
            return self._connection.stage
        return Stage.SESSION_KEY if self._auth is None else self._auth.stage

    def _exchange_keys(self) -> None:
        self._exchange.send_keys()

    def _receive_session_key(self, payload: Buffer) -> None:
        self._exchange.receive_session_key(payload)
        self.phase = Phase.AUTHENTICATION
        self._auth = SSH1ServerAuth(
            self._outbox,
            self.events,
            self._asks,
            self._server_options,
            self._exchange.session_id,
            random=self._random,
        )
        self._handlers.update(self._auth.handlers())

    def _refuse(self, number: int) -> None:
        """Answer FAILURE in the stages where the client may continue, as the draft requires."""
        stage = self._stage
        refusable = routes.REFUSED.get(stage)
        if refusable is None or (number in routes.KNOWN and number not in refusable):
            super()._refuse(number)
        elif self._connection is None and self._auth is not None:
            self._auth.refuse()
        else:
            self._outbox.send(msg.Failure())

    def _advance(self) -> None:
        if self._auth is not None and self._auth.succeeded and self._connection is None:
            self._limits = self._auth.limits
            self._connect(SSH1ServerConnection, self._exchange.flags)
            self._handlers[SSH1Msg.CMSG_REQUEST_COMPRESSION] = self._receive_compression
            self._handlers[SSH1Msg.CMSG_MAX_PACKET_SIZE] = self._receive_max_packet_size
        super()._advance()

    def _receive_compression(self, payload: Buffer) -> None:
        level = msg.RequestCompression.decode(payload).level
        if self._compresses or level not in _LEVELS or not self._may_compress:
            self._outbox.send(msg.Failure())
            return
        self._compresses = True
        self._outbox.send(msg.Success())
        self._compress()

    def _receive_max_packet_size(self, payload: Buffer) -> None:
        data = msg.MaxPacketSize.decode(payload).size
        self.connection.limit_packets(data)
        self._outbox.send(msg.Success())


def host_key(options: ServerOptions) -> RSA1PrivateKey:
    """Return the host key for SSH-1.

    :raises ConfigurationError: there is none.
    """
    for key in options.host_keys:
        if isinstance(key, RSA1PrivateKey):
            return key
    raise ConfigurationError(
        'SSH-1 needs an RSA1 host key: generate one with nacre.generate("rsa1"), and store it'
    )
