"""A SOCKS proxy whose clients are on the server's side: it connects from here (``ssh -R PORT``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from nacre.aio.dial import dial
from nacre.aio.stream import Reader, Writer
from nacre.client.forwarding.carried import Carried
from nacre.errors import ChannelOpenFailed, NacreError
from nacre.protocol.asks import AskOpen, Granted
from nacre.protocol.tcpip import Endpoint
from nacre.tunnels.relay import Relay, granting
from nacre.tunnels.socks import NEGOTIATION, Negotiation, SOCKSError
from nacre.wire.numbers import MAIN, OpenFailure


class _NotPermitted(ChannelOpenFailed):
    def __init__(self) -> None:
        super().__init__(OpenFailure.ADMINISTRATIVELY_PROHIBITED, "")
        self.args = ("it is not among the permitted places (PermitRemoteOpen)",)


class RemoteSOCKS:
    """Serves the SOCKS clients of one listener of the server.

    :param permitted: hosts and ports that they may connect to, where ``*`` and None stand for any;
        None permits everything. Hosts are compared as texts and never looked up.
    """

    def __init__(self, permitted: Sequence[tuple[str, int | None]] | None) -> None:
        self._permitted = permitted

    def permits(self, host: str, port: int) -> bool:
        """Tell whether clients may connect to this place."""
        return self._permitted is None or any(
            one in ("*", host) and number in (None, port) for one, number in self._permitted
        )

    async def serve(self, carried: Carried, ask: AskOpen) -> None:
        """Grant a channel, read a request of SOCKS from it, and connect it to what that names."""
        connection = carried.connection
        channel = granting(connection, ask)
        reader, writer = Reader(channel), Writer(channel)
        channel.sinks = {MAIN: reader}
        negotiation = Negotiation(reader.read, writer.write)
        place: Endpoint | str = "a SOCKS client's destination"
        joined = False
        try:
            connection.answer(ask.ask_id, Granted())
            async with asyncio.timeout(NEGOTIATION):
                host, port = await negotiation.request()
            place = Endpoint(host, port)
            if not self.permits(host, port):
                raise _NotPermitted
            sock = await dial(host, port, wanted="anything")
            try:
                await negotiation.succeed()
                relay = Relay(connection, channel)
                reader.move_to(relay)
                carried.note(ask.channel, f"from the server to {place}")
                await relay.attach(sock)
            except BaseException:
                sock.close()
                raise
            joined = True
        except (NacreError, SOCKSError, OSError) as error:
            carried.warn(place, error)
            if isinstance(error, NacreError):
                with suppress(NacreError):
                    await negotiation.fail(error)
        finally:
            if not joined:
                channel.close()
