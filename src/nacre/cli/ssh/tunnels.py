"""What ``nacre ssh`` forwards: ports, the agent, and with ``-W`` standard input and output."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias

from nacre.aio.stream import Writer
from nacre.cli.common.log import Log
from nacre.cli.common.login import show_warnings
from nacre.cli.ssh.standard import READ, StandardInput, StandardOutput
from nacre.client.configured import agent_path
from nacre.client.connection import Connection
from nacre.client.forwarding.forwards import Listener
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.tunnels import Forward, words_of
from nacre.errors import ConfigurationError, RequestFailed, StreamClosed
from nacre.wire.text import safe

_STDIN, _STDOUT = 0, 1

OtherEnd: TypeAlias = tuple[str, int] | str
"""Where ``-W`` leads: a host and a port, or the path of a Unix socket."""


async def start_forwarding(
    connection: Connection, target: Target, config: ClientConfig, log: Log
) -> None:
    """Start the forwardings of the configuration.

    :raises RequestFailed: a port can't be forwarded, and ExitOnForwardFailure is set.
    :raises ConnectionLost: the connection ended.
    """
    show_warnings(log)
    starting = _Starting(connection, config, log)
    await starting.all()
    if starting.failed and config.exit_on_forward_failure:
        raise RequestFailed(
            "a port can't be forwarded, see the message above; without ExitOnForwardFailure "
            "the session would start nevertheless"
        )
    if config.forward_x11:
        await _forward_x11(connection, config, log)
    path = agent_path(config.forward_agent or "none", target.tokens())
    if path is not None:
        connection.forward_agent(path)
    elif config.forward_agent is not None:
        log.verbose(
            "No agent is forwarded: the variable that names its socket is not set; start an agent."
        )


async def _forward_x11(connection: Connection, config: ClientConfig, log: Log) -> None:
    """Forward the display; without one the session starts nevertheless, as with ssh(1)."""
    try:
        await connection.forward_x11(
            trusted=config.forward_x11_trusted,
            timeout=config.forward_x11_timeout,
            xauth=config.xauth_location,
        )
    except ConfigurationError as error:
        show = log.error if os.environ.get("DISPLAY") else log.debug
        show(f"Warning: {error}")


class _Starting:
    def __init__(self, connection: Connection, config: ClientConfig, log: Log) -> None:
        self._connection = connection
        self._config = config
        self._log = log
        self.failed = False

    async def all(self) -> None:
        """Start the forwardings one after another, each kind in the order given."""
        connection, config = self._connection, self._config
        for one in self._possible("local", config.local_forwards):
            await self._try(
                connection.forward_local(
                    one.host, one.host_port, listen_host=self._bind(one), listen_port=one.port
                ),
                self._bind(one),
                one,
            )
        for one in self._possible("dynamic", config.dynamic_forwards):
            host = self._bind(one)
            await self._try(
                connection.forward_dynamic(listen_host=host, listen_port=one.port), host, one
            )
        for one in self._possible("remote", config.remote_forwards):
            host = "localhost" if one.address is None else one.address
            listener = await self._try(
                connection.forward_remote(
                    one.host, one.host_port, listen_host=host, listen_port=one.port
                ),
                host,
                one,
            )
            if listener is not None and not one.port:
                self._log.info(
                    f"Allocated port {listener.port} for remote forward to "
                    f"{safe(one.host)}:{one.host_port}"
                )

    def _possible(self, kind: str, forwards: Iterable[Forward]) -> Iterator[Forward]:
        """Yield the forwardings that nacre can start; report the others."""
        for one in forwards:
            lacks = ""
            if one.path or one.host_path:
                lacks = "of Unix sockets are not supported by nacre yet: give ports"
            elif kind == "remote" and one.dynamic:
                lacks = (
                    "without a destination, a SOCKS proxy on the server's side, are not supported "
                    "by nacre yet: give the destination too, port:host:hostport"
                )
            if not lacks:
                yield one
                continue
            self._log.error(f"Forwarding {safe(words_of(one))}: {kind} forwardings {lacks}")
            self.failed = True

    def _bind(self, one: Forward) -> str:
        if one.address is None:
            return "" if self._config.gateway_ports else "localhost"
        return one.address

    async def _try(self, opening: Awaitable[Listener], host: str, one: Forward) -> Listener | None:
        try:
            return await opening
        except RequestFailed as error:
            text = f"Warning: remote port forwarding failed for listen port {one.port}: {error}"
        except PermissionError:
            text = f"bind {self._shown(host, one)}: Permission denied; ports below 1024 need root"
        except OSError as error:
            self._connection.check()
            reason = os.strerror(error.errno) if error.errno else str(error)
            text = (
                f"bind {self._shown(host, one)}: {reason}; choose another port or address, or end "
                "the program that uses it"
            )
        self._log.error(text)
        self.failed = True
        return None

    @staticmethod
    def _shown(host: str, one: Forward) -> str:
        return f"[{safe(host) or '*'}]:{one.port}"


async def join_standard(connection: Connection, place: OtherEnd) -> int:
    """Join standard input and output to a connection that the server makes; return 0.

    :raises ChannelOpenFailed: the server refused, or could not connect.
    """
    opening = (
        connection.open_unix_connection(place)
        if isinstance(place, str)
        else connection.open_connection(*place)
    )
    async with opening as tunnel:
        feeding = asyncio.create_task(_feed(tunnel.writer))
        try:
            output = StandardOutput(_STDOUT)
            while data := await tunnel.reader.read(READ):
                await output.write(data)
            ended = asyncio.create_task(tunnel.wait_closed())
            await asyncio.wait({feeding, ended}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
        except BrokenPipeError:
            return 0  # the reader of our output is gone
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
    return 0


async def _feed(writer: Writer) -> None:
    source = StandardInput(_STDIN)
    with suppress(StreamClosed):
        while data := await source.read():
            await writer.write(data)
        writer.write_eof()
