"""SSH-2: bytes and answers in, events and bytes out (RFC 4251-4254).

Theory of operation
===================

An engine is one end of one connection, without a socket and without a clock. Its owner calls
``receive`` with bytes, ``answer`` with decisions and ``tick`` with the time. After each of them it
reads the events with ``take_events`` and sends the bytes of ``take_output``.

The parts. One object each, made once per connection; none knows the engine, each is handed an
outbox, the list of events and the ledger of questions:

- ``Inbox`` and ``Outbox`` (transport/): packets to payloads and back, under the present keys.
- ``KeyExchange`` (transport/kex.py): messages 20-49; replaces the keys of inbox and outbox.
- ``ClientAuth`` or ``ServerAuth`` (auth/): messages 50-79.
- ``Mux`` (connection/): messages 80-100, channels and requests.

Stages. ``_stage`` alone decides which messages are legal. ``_table`` holds, for each of the 256
message numbers, the handler to call, or None; it is replaced as a whole when the stage changes. So
an illegal message never reaches a handler, and a handler needs no test of the state.
routes.py has the tables: what is legal where, and which stage may follow on which message.
``_advance`` computes the stage after each message from three places: the key exchange while one is
running, else the authentication until it is done, else ``_rest``.

Questions. An engine takes no decision: it puts an ``Ask`` among the events, and the rest of the
work is the callback that the answer runs. While a question that blocks is open, ``_loop`` looks at
no further packet, so the peer's next message finds the stage that the answer leads to. Bytes wait
in the inbox, and ``wants_input`` tells the owner to read no more. The questions of channels do not
block: one channel must not stop another.

The life of a connection
========================

1. Both identification lines (``_receive_banner``). A server without SSH-1 sends its KEXINIT without
   waiting for the client's line.
2. The first key exchange, which sets the session id. The client is asked for the host key's trust
   before it sends NEWKEYS. Strict kex, if both sides announce it, allows no other message meanwhile
   and restarts the sequence numbers at 0 with NEWKEYS.
3. EXT_INFO, SERVICE_REQUEST and SERVICE_ACCEPT, authentication. A success makes ``_mux``.
   A server may be frozen here, before its client learns of the success; another process goes on
   (``SSH2Server.freeze``, ``ThawedServer``).
4. Channels, for as long as both sides want.
5. Later key exchanges, started by either side at any time after the first. RFC 4253 section 7.1
   forbids other messages from our KEXINIT to our NEWKEYS: the outbox holds them back, bounded, and
   takes no channel data (``takes_data``). ``Mux.resume`` wakes the channels afterwards.
6. The end: DISCONNECT of either side, an error, or the end of the transport. ``ConnectionEnded`` is
   the last event; open questions are withdrawn, and later calls do nothing.

What must never be broken
=========================

- No message is handled that the table of the present stage does not name.
- Nothing of the peer is believed before its keys are: no event of a channel before phase 4.
- Each direction changes its keys at its own NEWKEYS, and at no other point of the stream.
- Every buffer, list and count that the peer can make grow has a bound in ``Limits``.
- An error of the peer ends the connection; it never leaves an engine half changed and running.
- A payload is a view of the inbox's memory. What outlives the packet is copied, but for the data of
  channels, whose reader holds the view.
- The path of channel data (``_loop``, ``Mux.send_data``, ``Mux._on_data``) gains no call;
  tests/bench counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from nacre.crypto.packets.seal import PlainOpener, PlainSealer, Random
from nacre.errors import (
    ConnectionLost,
    DisconnectCode,
    Disconnected,
    LocalProtocolError,
    NacreError,
    RemoteProtocolError,
    VersionError,
)
from nacre.keys import PrivateKey
from nacre.protocol.banner import BannerReader
from nacre.protocol.engine import ANY_NUMBER
from nacre.protocol.events import (
    DebugReceived,
    ExtensionsReceived,
    MessageSeen,
    VersionReceived,
)
from nacre.protocol.machine import Machine
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Phase, Role
from nacre.ssh2 import routes
from nacre.ssh2.auth.client import ClientAuth
from nacre.ssh2.auth.messages import UserauthRequest
from nacre.ssh2.auth.server import ServerAuth
from nacre.ssh2.connection.mux import HANDLERS as CHANNELS
from nacre.ssh2.connection.mux import Mux
from nacre.ssh2.connection.replies import send_reply
from nacre.ssh2.routes import Resting, Stage
from nacre.ssh2.transport.framing import Inbox
from nacre.ssh2.transport.kex import PING_EXTENSION, KeyExchange
from nacre.ssh2.transport.messages import (
    Debug,
    Disconnect,
    ExtInfo,
    KexInit,
    Ping,
    Pong,
    ServiceRequest,
    Unimplemented,
)
from nacre.ssh2.transport.outbox import Outbox
from nacre.ssh2.transport.pings import Pings
from nacre.ssh2.transport.stages import KexStage
from nacre.ssh2.transport.version import check_version
from nacre.wire.codec import Buffer, WireReader
from nacre.wire.numbers import Msg
from nacre.wire.text import safe

USERAUTH = "ssh-userauth"
"""The service of authentication (RFC 4252)."""

# Looking up a member of an Enum costs more than a function call.
_CLOSED: Final = Phase.CLOSED
_CONNECTION: Final = Resting.CONNECTION
_KEEPALIVE = "keepalive@openssh.com"

Handler = Callable[[Any, Buffer], None]
"""A method of an engine, or of the multiplexer for messages about channels; not bound to either."""


class SSH2Engine(Machine):
    """The part that both roles share."""

    # _rest       where the connection rests outside key exchanges and authentication.
    # _stage      the stage that decides now; None during version negotiation.
    # _table      the handler of each legal message of that stage, by number.
    # _begun      a client's authentication, which SERVICE_ACCEPT makes ``_auth``.
    # _mux        the channels; None until authentication succeeded.
    # pings       whether the peer announced ping@openssh.com.
    # _now        the time of the latest call; _keys_since: that of the latest exchange.

    _auth: ClientAuth | ServerAuth | None

    def __init__(
        self, options: EngineOptions, host_keys: tuple[PrivateKey, ...], *, random: Random
    ) -> None:
        super().__init__(options, options.announce)
        limits = options.limits
        self._outbox = Outbox(PlainSealer(random), limits, self.events, trace=options.trace)
        self._inbox = Inbox(PlainOpener(limits.packet), limits)
        self._kex = KeyExchange(
            self.role,
            options,
            host_keys,
            random=random,
            outbox=self._outbox,
            inbox=self._inbox,
            events=self.events,
            asks=self._asks,
        )
        self._auth = None
        self._begun: ClientAuth | None = None
        self._mux: Mux | None = None
        self.pings = False
        self._pings = Pings(self._outbox, self.events, limits)
        self._now = 0.0
        self._keys_since = 0.0
        self._rest: Resting = Resting.FIRST_KEXINIT
        self._stage: Stage | None = None
        self._table: tuple[Handler | None, ...] = ()

    # --- what the owner calls ---

    @property
    def connection(self) -> Mux:
        """Return the layer of channels and requests.

        :raises LocalProtocolError: before authentication is done, and after the end.
        """
        if self._mux is None or self.phase is _CLOSED:
            raise LocalProtocolError(f"there are no channels in phase {self.phase.name}")
        return self._mux

    @property
    def wants_input(self) -> bool:
        """Whether to read: not while a question or messages wait, nor after the end."""
        return not (self._asks.blocking or self.behind or self.phase is _CLOSED)

    @property
    def output_size(self) -> int:
        """How many bytes ``take_output`` would return."""
        return self._outbox.size

    @property
    def next_tick(self) -> float | None:
        """When to call ``tick``, in seconds: the next rekey by time; None when none is due."""
        if self._mux is None or self._kex.active or not self._limits.rekey_seconds:
            return None
        return self._keys_since + self._limits.rekey_seconds

    def start(self, now: float) -> None:
        """Begin: put our identification line into the outbox. Call it once, before ``receive``."""
        self._now = now
        self._send_line(self._line)
        if self.role is Role.SERVER and self._options.announce == "2.0":
            # KEXINIT may follow our line at once (RFC 4253 section 7.1): the client's first answer
            # then holds its first message of the exchange. A server of both versions has to wait.
            self._kex.begin()

    def receive(
        self, data: Buffer, now: float, *, whole: bool = False, most: int = ANY_NUMBER
    ) -> int:
        """Take bytes from the peer; see :meth:`nacre.protocol.engine.Engine.receive`."""
        self._now = now
        self._most, self.behind = most, False
        if self._mux is not None:
            self._mux.now = now
        if self.phase is _CLOSED:
            return 0
        try:
            if self._banner is not None:
                data = self._receive_banner(self._banner, data)
            self._inbox.feed(data)
            self._loop()
            # Packets that wait for an answer are read later, when the caller's bytes are gone.
            if whole and not self._asks.blocking:
                return self._inbox.leave()
            self._inbox.keep()
        except NacreError as error:
            self._end(error)
        return 0

    def _go_on(self) -> None:
        """Read the packets that waited for an answer."""
        try:
            self._advance()
            self._loop()
        except NacreError as error:
            self._end(error)

    def receive_eof(self) -> None:
        """End the connection: the transport ended. Call it when a read returns no bytes."""
        if self._banner is not None and (seen := self._banner.seen()):
            self._end(VersionError(f"the peer does not speak SSH; it sent: {seen}"))
        elif self.phase is Phase.VERSION:
            self._end(ConnectionLost("the peer closed the connection before it sent anything"))
        else:
            self._end(ConnectionLost(f"the peer closed the connection {self._where()}"))

    def tick(self, now: float) -> None:
        """Do what is due at ``now``: a rekey by time. Call it when ``next_tick`` has come."""
        self._now = now
        due = self.next_tick
        if due is not None and now >= due:
            self.rekey()

    def take_output(self) -> memoryview:
        """Return the bytes to send. The caller owns them; call it after every other method."""
        if self._outbox.payload_bytes > self._limits.rekey_bytes and self.phase is Phase.CONNECTION:
            self.rekey()
        return self._outbox.take()

    def rekey(self) -> None:
        """Start a new key exchange, unless one is running.

        :raises LocalProtocolError: before authentication is done, and after the end.
        """
        # Not during authentication: USERAUTH_SUCCESS would be held back until the exchange ends,
        # but the delayed compression that starts right behind it would not.
        if self.phase is not Phase.CONNECTION:
            raise LocalProtocolError(f"there are no keys to replace in phase {self.phase.name}")
        self._kex.begin()

    def ping(self, data: bytes = b"") -> None:
        """Send a message that the peer answers: ``PongReceived`` or ``GlobalRequestAnswered``.

        Before authentication is done, there is no such message for a peer that did not announce
        ``ping@openssh.com``; then nothing is sent.
        """
        if self.pings and self.phase is not _CLOSED:
            self._pings.send(data)
        elif self._mux is not None and self.phase is not _CLOSED:
            self._mux.send_global_request(_KEEPALIVE)

    # --- the packet loop ---

    def _loop(self) -> None:
        inbox, asks, most = self._inbox, self._asks, self._most
        while inbox.left and not asks.blocking and self._banner is None:
            payload = inbox.next()
            if payload is None:
                break
            if self._options.trace:
                self.events.append(MessageSeen("in", bytes(payload)))
            number = payload[0]
            handler = self._table[number]
            if handler is None:
                self._refuse(payload)
            elif 80 <= number < 128:
                handler(self._mux, payload)
            else:
                handler(self, payload)
            if self._stage is not _CONNECTION or self._kex.active:
                self._advance()
            if self.phase is _CLOSED:
                return
            most -= 1
            if not most:
                self.behind = self.behind or (inbox.left > 0 and not asks.blocking)
                break
        limits, outbox = self._limits, self._outbox
        worn_out = (
            inbox.payload_bytes > limits.rekey_bytes
            or outbox.payload_bytes > limits.rekey_bytes
            or inbox.packets > limits.rekey_packets
            or outbox.packets > limits.rekey_packets
        )
        if worn_out and self._mux is not None and not self._kex.active:
            self._kex.begin()

    def _refuse(self, payload: Buffer) -> None:
        number = payload[0]
        unneeded = number not in routes.KNOWN or routes.unneeded(self.role, self._stage, payload)
        if not unneeded or self._first_strict():
            name = f" ({Msg(number).name})" if number in set(Msg) else ""
            raise RemoteProtocolError(f"message {number}{name} is not legal {self._where()}")
        sequence = (self._inbox.sequence - 1) & 0xFFFFFFFF
        self._outbox.send(Unimplemented(sequence).encode())

    def _where(self) -> str:
        stage = self._stage
        if stage is None:
            return "during version negotiation"
        if self._mux is not None and not isinstance(stage, KexStage):
            return "after authentication"
        return f"while waiting for {stage.value}"

    def _advance(self) -> None:
        """Enter the next stage, if the present one is over."""
        if self._auth is not None and self._mux is None:
            self._advance_auth(self._auth)
        stage: Stage = self._rest
        if self._kex.stage is not KexStage.IDLE:
            stage = self._kex.stage
        elif self._auth is not None and self._mux is None:
            stage = self._auth.stage
        if stage is not self._stage:
            self._enter(stage)

    def _enter(self, stage: Stage) -> None:
        """Replace the table of legal messages."""
        left, self._stage = self._stage, stage
        # mypy holds a class to be unhashable.
        strict, rekey = self._first_strict(), self._mux is not None
        self._table = _table(type(self), stage, strict, rekey)  # type: ignore[arg-type]
        if isinstance(left, KexStage) and not isinstance(stage, KexStage):
            self._keys_since = self._now
        if stage is KexStage.NEWKEYS and self._mux is not None:
            self._mux.resume()

    def _first_strict(self) -> bool:
        """Whether this is the first exchange of strict kex: no other messages are legal in it."""
        return self._kex.strict and self._rest is Resting.FIRST_KEXINIT

    # --- phase 1 ---

    def _receive_banner(self, banner: BannerReader, data: Buffer) -> bytes:
        peer = banner.receive(data)
        if peer is None:
            return b""
        check_version(peer, self.role)
        lines = (self._line, peer.line)
        self._kex.versions(*(lines if self.role is Role.CLIENT else lines[::-1]))
        self.events.append(
            VersionReceived("2.0", self._line.decode(), safe(peer.line), peer.before)
        )
        self._banner = None
        self.phase = Phase.KEX
        self._kex.begin()
        self._advance()
        return banner.rest

    # --- phases 2 to 4: transport messages ---

    @classmethod
    def handlers(cls) -> dict[int, Handler]:
        """Return the handler of each message, legal or not."""
        kex = dict.fromkeys(range(30, 50), cls._receive_kex)
        auth = dict.fromkeys(range(50, 80), cls._receive_auth)
        return {
            Msg.DISCONNECT: cls._receive_disconnect,
            Msg.IGNORE: cls._receive_ignore,
            Msg.UNIMPLEMENTED: cls._receive_unimplemented,
            Msg.DEBUG: cls._receive_debug,
            Msg.SERVICE_REQUEST: cls._receive_service_request,
            Msg.SERVICE_ACCEPT: cls._receive_service_accept,
            Msg.EXT_INFO: cls._receive_ext_info,
            Msg.KEXINIT: cls._receive_kexinit,
            Msg.NEWKEYS: cls._receive_newkeys,
            Msg.PING: cls._receive_ping,
            Msg.PONG: cls._receive_pong,
            **kex,
            **auth,
            **CHANNELS,
        }

    def _receive_kex(self, payload: Buffer) -> None:
        self._kex.receive(payload)

    def _receive_disconnect(self, payload: Buffer) -> None:
        # What follows the description, or the description itself, may be missing or more.
        reader = WireReader(payload, 1)
        code, description = reader.u32(), reader.text() if reader.remaining else ""
        self._close(Disconnected(code, safe(description)))

    def _receive_ignore(self, payload: Buffer) -> None:
        pass

    def _receive_unimplemented(self, payload: Buffer) -> None:
        asked = self._outbox.unimplemented(Unimplemented.decode(payload).sequence)
        if (asked is KexInit and self._kex.active) or self._rest is Resting.FIRST_KEXINIT:
            raise RemoteProtocolError("the peer does not know a message of the key exchange")
        if asked is ServiceRequest and self._auth is None:
            raise RemoteProtocolError("the peer does not know SERVICE_REQUEST, so none can log in")
        if asked is UserauthRequest and self._begun is not None:
            self._begun.unimplemented()
        elif isinstance(asked, int) and not self._pings.refused(asked):
            assert self._mux is not None
            self._mux.refused(asked)

    def _receive_debug(self, payload: Buffer) -> None:
        message = Debug.decode(payload)
        self.events.append(DebugReceived(message.always_display, safe(message.text)))

    def _receive_kexinit(self, payload: Buffer) -> None:
        self._kex.receive_kexinit(payload)

    def _receive_newkeys(self, payload: Buffer) -> None:
        self._kex.receive(payload)
        if self._rest is Resting.FIRST_KEXINIT:
            self._rest = Resting.SERVICE
            self.phase = Phase.AUTHENTICATION
            if self.role is Role.CLIENT:
                self._outbox.send(ServiceRequest(USERAUTH).encode(), ServiceRequest)

    def _receive_service_request(self, payload: Buffer) -> None:
        raise NotImplementedError

    def _receive_service_accept(self, payload: Buffer) -> None:
        raise NotImplementedError

    def _receive_ext_info(self, payload: Buffer) -> None:
        extensions = ExtInfo.decode(payload, self._limits.extensions).extensions
        self.pings = self.pings or extensions.get(PING_EXTENSION) == b"0"
        self.events.append(ExtensionsReceived(extensions))
        self._extended(extensions)

    def _extended(self, extensions: dict[str, bytes]) -> None:
        """Take the extensions that concern one role only from an EXT_INFO."""

    def _receive_ping(self, payload: Buffer) -> None:
        send_reply(self._outbox, Pong(Ping.decode(payload).data).encode())

    def _receive_pong(self, payload: Buffer) -> None:
        self._pings.on_pong(payload)

    # --- phase 3 ---

    def _receive_auth(self, payload: Buffer) -> None:
        assert self._auth is not None
        if self._mux is None:
            self._auth.receive(payload)

    def _advance_auth(self, auth: ClientAuth | ServerAuth) -> None:
        if not auth.succeeded:
            return
        self._kex.authenticated()
        self._limits = auth.limits
        self._mux = Mux(self.role, self._outbox, self.events, self._asks, self._limits)
        self._mux.now = self._now
        self._rest = Resting.CONNECTION
        self.phase = Phase.CONNECTION

    # --- the end ---

    def _send_line(self, line: bytes) -> None:
        self._outbox.send_line(line + b"\r\n")

    def _send_disconnect(self, code: DisconnectCode, description: str) -> None:
        self._outbox.send(Disconnect(code, description, "").encode())

    def _say_goodbye(self, code: DisconnectCode, description: str) -> None:
        if self.phase is Phase.VERSION and self._kex.active:
            # Our KEXINIT was sent: a line of text behind it would not be a packet.
            self._send_disconnect(code, safe(description, 255))
        else:
            super()._say_goodbye(code, description)

    def _clear(self) -> None:
        self._inbox.clear()


@cache
def _table(
    engine: type[SSH2Engine], stage: Stage, strict: bool, rekey: bool
) -> tuple[Handler | None, ...]:
    """Return the handler of each message that is legal in a stage; all connections share it."""
    numbers = routes.legal(engine.role, stage, strict=strict, rekey=rekey)
    handlers = engine.handlers()
    return tuple(handlers.get(number) if number in numbers else None for number in range(256))
