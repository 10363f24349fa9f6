"""The client's end of a connection that a master shares: channels and requests alone.

The master has exchanged keys and logged in. It carries the messages of RFC 4254 over a socket of
this machine, as packets without padding, encryption and MAC (``PROTOCOL.mux``, section 9).
"""

from __future__ import annotations

from nacre.crypto.packets.seal import BareOpener, BareSealer, Random
from nacre.errors import DisconnectCode, LocalProtocolError, RemoteProtocolError
from nacre.protocol.events import Authenticated, VersionReceived
from nacre.protocol.options import ClientOptions
from nacre.protocol.phases import Phase
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.connection.mux import Mux
from nacre.ssh2.routes import Resting
from nacre.value import replace
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

_NEVER = 1 << 62


class SharedMux(Mux):
    """The channels of a shared connection."""

    def send_global_request(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> int:
        """Send a global request that needs no answer.

        :raises LocalProtocolError: it does. OpenSSH's master keeps the answer to itself, so there
            would be nothing to wait for.
        """
        if want_reply:
            raise LocalProtocolError(
                f"{safe(name)}: a shared connection has no global requests: make a connection "
                "without control"
            )
        return super().send_global_request(name, data, want_reply=False)


class SharedClient(SSH2Client):
    """A client whose login is done by somebody else: it begins with channels.

    It exchanges no keys, and sends no DISCONNECT: the connection is not its own.
    """

    def __init__(self, options: ClientOptions, *, random: Random) -> None:
        limits = replace(
            options.limits, rekey_bytes=_NEVER, rekey_packets=_NEVER, rekey_seconds=0.0
        )
        super().__init__(replace(options, limits=limits), random=random)
        self._outbox.rekeyed(BareSealer())
        self._outbox.end_kex()
        self._inbox.rekeyed(BareOpener(limits.packet))

    def start(self, now: float) -> None:
        """Begin. There is nothing to wait for."""
        self._now = now
        self._banner = None
        self._mux = SharedMux(self.role, self._outbox, self.events, self._asks, self._limits)
        self._mux.now = now
        self._rest = Resting.CONNECTION
        self.phase = Phase.CONNECTION
        self._advance()
        self.events.append(VersionReceived("2.0", self._line.decode(), "", ()))
        self.events.append(Authenticated(self._client_options.user, ()))

    def _receive_kexinit(self, payload: Buffer) -> None:
        raise RemoteProtocolError("a master exchanges no keys with its clients")

    def rekey(self) -> None:
        """Refuse: the keys are the master's.

        :raises LocalProtocolError: always.
        """
        raise LocalProtocolError("a shared connection has no keys of its own to replace")

    def _say_goodbye(self, code: DisconnectCode, description: str) -> None:
        # A DISCONNECT would be about the master's connection.
        pass
