"""The choice of the protocol version: from both identification lines to an engine.

Both sides use the higher version that they share (RFC 4253 section 5). A server of both announces
1.99 and decides by the client's line. A client of both sends nothing until it has the server's
line, and then announces the version to use. :mod:`nacre.ssh1` is only imported if SSH-1 is allowed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from nacre.errors import ConfigurationError, DisconnectCode, VersionError
from nacre.limits import Limits
from nacre.protocol.asks import Answer
from nacre.protocol.banner import BannerReader
from nacre.protocol.engine import ANY_NUMBER, ConnectionLayer, Engine
from nacre.protocol.events import Event
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.server import SSH2Server
from nacre.value import replace
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from nacre.keys.families.rsa1 import RSA1PrivateKey

PROTOCOLS = (2,)
"""The default versions."""

SSH1 = "1.5"
"""The ``protocol`` of ``VersionReceived`` for SSH-1."""

RISK = (
    "SSH-1 is weak: anyone on the network path can alter the traffic, and may be able to read it; "
    "use it only with peers that have nothing else, and on networks that you trust"
)
"""The warning for each use of SSH-1."""

SERVER_KEY_SECONDS = 3600.0
"""Seconds that a server key of SSH-1 is used: the default of sshd's KeyRegenerationInterval."""

Engines: TypeAlias = Callable[[ServerOptions], Engine]
"""Makes the server's engine for a new connection."""


def check_protocols(protocols: Sequence[int]) -> frozenset[int]:
    """Return the versions as a set.

    :raises ConfigurationError: there is none, or one that is neither 1 nor 2.
    """
    chosen = frozenset(protocols)
    if not chosen or not chosen <= {1, 2}:
        raise ConfigurationError(f"protocols={tuple(protocols)!r}: (2,), (2, 1) or (1,)")
    return chosen


def client_engine(options: ClientOptions, protocols: Sequence[int]) -> Engine:
    """Return a client's engine for ``protocols``.

    :raises ConfigurationError: no such protocols.
    """
    chosen = check_protocols(protocols)
    if chosen == {2}:
        return SSH2Client(options, random=os.urandom)

    from nacre.ssh1 import engine as ssh1

    old = ssh1.SSH1Client(options, random=os.urandom)
    if 2 not in chosen:
        return old
    return _Client(SSH2Client(options, random=os.urandom), old, options.limits)


def server_engines(protocols: Sequence[int]) -> Engines:
    """Return the maker of a server's engines for ``protocols``.

    :raises ConfigurationError: no such protocols.
    """
    chosen = check_protocols(protocols)
    if chosen == {2}:
        return lambda options: SSH2Server(options, random=os.urandom)
    return _Servers(both=2 in chosen)


class _Servers:
    """Makes engines that speak SSH-1, and keeps the server key that they share."""

    def __init__(self, *, both: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._both = both
        self._clock = clock
        self._key: RSA1PrivateKey | None = None
        self._host_bits = 0
        self._since = 0.0

    def __call__(self, options: ServerOptions) -> Engine:
        from nacre.ssh1 import engine as ssh1

        options = replace(options, announce="1.99" if self._both else SSH1)
        old = ssh1.SSH1Server(options, server_key=self._server_key(options), random=os.urandom)
        if not self._both:
            return old
        return _Server(SSH2Server(options, random=os.urandom), old, options.limits)

    def _server_key(self, options: ServerOptions) -> RSA1PrivateKey:
        from nacre.ssh1.engine import host_key
        from nacre.ssh1.kex import server_key

        host, now = host_key(options), self._clock()
        expired = now - self._since >= SERVER_KEY_SECONDS or self._host_bits != host.public.bits
        if self._key is None or expired:
            self._key = server_key(host, os.urandom)
            self._since = now
            self._host_bits = host.public.bits
        return self._key


class _Choosing:
    """An engine that is one of two: SSH-2's, until the peer's line announces SSH-1."""

    role: Role

    def __init__(self, new: Engine, old: Engine, limits: Limits) -> None:
        self._limits = limits
        self._engine = new
        self._old = old
        self._reader: BannerReader | None = None
        self._seen = bytearray()

    def _choose(self, data: Buffer, now: float) -> None:
        """Read bytes of the identification, and give all of them to the engine it selects."""
        assert self._reader is not None
        self._seen += data
        try:
            peer = self._reader.receive(data)
        except VersionError:
            # SSH-2's engine finds the same error, and reports it.
            old = False
        else:
            if peer is None:
                return
            old = peer.major == 1 and peer.protocol != "1.99"
        self._reader = None
        self._decide(now, old=old)
        self._engine.receive(self._seen, now)
        self._seen = bytearray()

    def _decide(self, now: float, *, old: bool) -> None:
        raise NotImplementedError

    # --- the surface of an engine ---

    @property
    def phase(self) -> Phase:
        """See :class:`nacre.protocol.engine.Engine`, also for the members below."""
        return self._engine.phase

    @property
    def pings(self) -> bool:
        return self._engine.pings

    @property
    def connection(self) -> ConnectionLayer:
        return self._engine.connection

    @property
    def events(self) -> list[Event]:
        return self._engine.events

    @property
    def wants_input(self) -> bool:
        return self._engine.wants_input

    @property
    def output_size(self) -> int:
        return self._engine.output_size

    @property
    def next_tick(self) -> float | None:
        return self._engine.next_tick

    @property
    def behind(self) -> bool:
        return self._engine.behind

    def receive(
        self, data: Buffer, now: float, *, whole: bool = False, most: int = ANY_NUMBER
    ) -> int:
        if self._reader is None or self.phase is Phase.CLOSED:
            return self._engine.receive(data, now, whole=whole, most=most)
        self._choose(data, now)
        return 0

    def receive_eof(self) -> None:
        if self._reader is not None and self._seen:
            # The engine reports what was received in place of an identification.
            self._reader = None
            self._engine.receive(self._seen, 0.0)
        self._engine.receive_eof()

    def tick(self, now: float) -> None:
        self._engine.tick(now)

    def answer(self, ask_id: int, answer: Answer) -> bool:
        return self._engine.answer(ask_id, answer)

    def take_events(self) -> list[Event]:
        return self._engine.take_events()

    def take_output(self) -> memoryview:
        return self._engine.take_output()

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        self._engine.disconnect(code, description)

    def rekey(self) -> None:
        self._engine.rekey()

    def ping(self, data: bytes = b"") -> None:
        self._engine.ping(data)


class _Client(_Choosing):
    """Sends nothing until the server's line is known."""

    role = Role.CLIENT

    def start(self, now: float) -> None:
        self._reader = BannerReader(self.role, self._limits)

    def _decide(self, now: float, *, old: bool) -> None:
        if old:
            self._engine = self._old
        self._engine.start(now)


class _Server(_Choosing):
    """Announces 1.99, and decides by the client's line."""

    role = Role.SERVER

    def start(self, now: float) -> None:
        self._reader = BannerReader(self.role, self._limits)
        self._engine.start(now)

    def _decide(self, now: float, *, old: bool) -> None:
        if old:
            unsent = self._engine.take_output()
            self._engine = self._old
            self._engine.start(now)
            if not unsent:
                # Our line, which is the same from both engines, was sent already.
                self._engine.take_output()
