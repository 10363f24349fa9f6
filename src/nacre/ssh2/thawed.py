"""The server's end of a connection that another process began: channels and requests alone."""

from __future__ import annotations

from nacre.crypto import registry
from nacre.crypto.packets.seal import Random
from nacre.protocol.asks import SessionProof
from nacre.protocol.events import Authenticated, KexDone, Resumed, VersionReceived
from nacre.protocol.frozen import FrozenServer
from nacre.protocol.options import ServerOptions
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.server import SSH2Server
from nacre.wire.text import safe


class ThawedServer(SSH2Server):
    """A server whose user is in: it goes on where the engine stood that was frozen.

    Its first event is ``Resumed``. If the client does not know that it is in, ``Authenticated`` is
    the second, and the first message tells the client. What the frozen engine had received waits:
    ``behind`` is True after ``start``.

    :param options: those of the engine that was frozen; its host keys may be held by a program.
        The bounds of the user's connection are the frozen ones.
    :param random: a source of randomness: n -> n bytes.
    :raises ConfigurationError: no host key fits the host key algorithms.
    """

    def __init__(self, options: ServerOptions, frozen: FrozenServer, *, random: Random) -> None:
        super().__init__(options, random=random)
        self._banner = None
        self._line = frozen.lines[1]
        self._age = frozen.age
        self.pings = frozen.pings
        kex, session = self._kex, SessionProof(frozen.session_id, frozen.host_key)
        kex.lines, kex.session, kex.strict = frozen.lines, session, frozen.strict
        kex.host_key, kex.chosen = frozen.host_key, frozen.chosen
        self._resume_input(frozen)
        self._resume_output(frozen, random)
        local, remote = (safe(line) for line in frozen.lines[::-1])
        self.events.append(
            Resumed(
                VersionReceived("2.0", local, remote, ()),
                KexDone(frozen.session_id, frozen.host_key, frozen.chosen, True),
                Authenticated(frozen.user, frozen.methods) if frozen.told else None,
            )
        )
        self._auth = auth = self._authentication(session)
        auth.user, auth.methods, auth.limits = frozen.user, frozen.methods, frozen.limits
        if frozen.told:
            auth.stage, auth.succeeded = AuthStage.DONE, True
        else:
            auth.let_in()
        self._advance()
        self.connection.globals.no_more_sessions = frozen.no_more_sessions
        # It may be frozen again.
        kex.keeps_keys = True
        self._inbox.keys, self._outbox.keys = frozen.incoming_keys, frozen.outgoing_keys

    def _resume_input(self, frozen: FrozenServer) -> None:
        state, limit = frozen.incoming, self._options.limits.packet
        self._inbox.rekeyed(
            registry.opener(frozen.incoming_keys, sequence=state.sequence, packet_limit=limit)
        )
        self._inbox.packets, self._inbox.payload_bytes = state.packets, state.payload_bytes
        self._inbox.feed(state.waiting)
        self._inbox.keep()

    def _resume_output(self, frozen: FrozenServer, random: Random) -> None:
        state = frozen.outgoing
        self._outbox.rekeyed(
            registry.sealer(frozen.outgoing_keys, sequence=state.sequence, random=random)
        )
        self._outbox.packets, self._outbox.payload_bytes = state.packets, state.payload_bytes
        self._outbox.send_line(state.waiting)
        self._outbox.end_kex()

    def start(self, now: float) -> None:
        """Begin. Call it once, before ``receive``."""
        self._now = now
        self._keys_since = now - self._age
        assert self._mux is not None
        self._mux.now = now
        self.behind = self._inbox.left > 0
