"""What ``nacre ssh`` forwards: ports, the agent, and with ``-W`` standard input and output."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import AsyncExitStack, closing, suppress
from typing import TypeAlias, TypedDict

from nacre.aio.stream import Writer
from nacre.aio.waiting import Opening
from nacre.cli.common.log import Log
from nacre.cli.common.login import show_warnings
from nacre.cli.ssh.standard import READ, StandardInput, StandardOutput
from nacre.client.configured import agent_path
from nacre.client.connection import Connection
from nacre.client.forwarding.listener import Listener
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.tunnels import Forward, place_or_any, words_of
from nacre.errors import ChannelOpenFailed, ConfigurationError, RequestFailed, StreamClosed
from nacre.protocol.tunnel import TunnelMode
from nacre.wire.text import safe

_STDIN, _STDOUT = 0, 1

OtherEnd: TypeAlias = tuple[str, int] | str
"""Where ``-W`` leads: a host and a port, or the path of a Unix socket."""


async def start_forwarding(
    connection: Connection, target: Target, config: ClientConfig, log: Log
) -> Forwardings:
    """Start the forwardings of the configuration, and return them.

    :raises RequestFailed: a port can't be forwarded, and ExitOnForwardFailure is set.
    :raises ConnectionLost: the connection ended.
    """
    show_warnings(log)
    forwardings = Forwardings(connection, config, log)
    await forwardings.start()
    if config.forward_x11:
        await _forward_x11(connection, config, log)
    if config.tunnel != "false":
        forwardings.device = await _join_devices(connection, config.tunnel, config, log)
    path = agent_path(config.forward_agent or "none", target.tokens())
    if path is not None:
        connection.forward_agent(path)
    elif config.forward_agent is not None:
        log.verbose(
            "No agent is forwarded: the variable that names its socket is not set; start an agent."
        )
    return forwardings


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


async def _join_devices(
    connection: Connection, mode: TunnelMode, config: ClientConfig, log: Log
) -> str | None:
    """Join the tunnel devices of ``-w``; return the name of this host's, or None without one.

    :raises RequestFailed: that is not possible, and ExitOnForwardFailure is set.
    """
    unit, remote = (
        None if word == "any" else int(word) for word in config.tunnel_device.split(":")
    )
    try:
        tunnel = await connection.forward_tunnel(mode, unit=unit, remote_unit=remote)
    except OSError as error:
        connection.check()
        text = (
            f"Tunnel device open failed: {error.strerror or error}; root makes devices, and lends "
            "them with ip tuntap"
        )
    except ChannelOpenFailed as error:
        text = f"Tunnel forwarding failed: {error}; the server needs PermitTunnel"
    else:
        log.verbose(f"The tunnel device is {tunnel.name}.")
        return tunnel.name
    log.error(text)
    if config.exit_on_forward_failure:
        raise RequestFailed("no tunnel is forwarded, see the message above")
    return None


class _Listen(TypedDict):
    listen_host: str
    listen_port: int
    listen_path: str


class Forwardings:
    """The forwarded ports of a connection, by kind (``local``, ``remote``, ``dynamic``).

    :ivar device: the name of this host's tunnel device, or None.
    """

    def __init__(self, connection: Connection, config: ClientConfig, log: Log) -> None:
        self._connection = connection
        self._config = config
        self._log = log
        self.device: str | None = None
        self._listeners: dict[tuple[str, Forward], Listener] = {}

    async def start(self) -> None:
        """Start those of the configuration one after another, each kind in the order given.

        :raises RequestFailed: one can't be started, and ExitOnForwardFailure is set.
        """
        config, failed = self._config, False
        for kind, forwards in (
            ("local", config.local_forwards),
            ("dynamic", config.dynamic_forwards),
            ("remote", config.remote_forwards),
        ):
            for one in forwards:
                try:
                    listener = await self.open(kind, one)
                except RequestFailed as error:
                    self._log.error(str(error))
                    failed = True
                    continue
                if kind == "remote" and not one.port and not one.path:
                    self._log.info(
                        f"Allocated port {listener.port} for remote forward to {_destination(one)}"
                    )
        if failed and config.exit_on_forward_failure:
            raise RequestFailed(
                "a port can't be forwarded, see the message above; without ExitOnForwardFailure "
                "the session would start nevertheless"
            )

    async def open(self, kind: str, one: Forward) -> Listener:
        """Start a forwarding, unless it is there already.

        :raises RequestFailed: it can't be started.
        """
        listener = self._listeners.get((kind, one))
        if listener is None or listener.closed:
            listener = self._listeners[kind, one] = await self._open(kind, one)
        return listener

    async def close(self, kind: str, one: Forward) -> None:
        """End a forwarding; its connections stay.

        :raises RequestFailed: there is none such.
        """
        listener = self._listeners.pop((kind, one), None)
        if listener is None or listener.closed:
            raise RequestFailed(f"{kind} forwarding {safe(words_of(one))}: it is not there")
        await listener.close()

    async def close_at(self, kind: str, listen: str) -> None:
        """End the forwardings that listen at a place, in the form of :attr:`Forward.listen`.

        :raises RequestFailed: there is none such.
        """
        found = [one for its, one in self._listeners if its == kind and one.listen == listen]
        if not found:
            raise RequestFailed(f"Unknown port forwarding: no {kind} one is at {safe(listen)}")
        for one in found:
            await self.close(kind, one)

    async def _open(self, kind: str, one: Forward) -> Listener:
        try:
            return await self._opening(kind, one)
        except RequestFailed as error:
            where = f"path {safe(one.path)}" if one.path else f"port {one.port}"
            raise RequestFailed(
                f"Warning: remote port forwarding failed for listen {where}: {error}"
            ) from error
        except OSError as error:
            self._connection.check()
            raise RequestFailed(_refusal(one, self._bind(kind, one), error)) from error

    def _opening(self, kind: str, one: Forward) -> Opening[Listener]:
        connection, config = self._connection, self._config
        place = one.host, one.host_port
        listen: _Listen = {
            "listen_host": self._bind(kind, one),
            "listen_port": one.port,
            "listen_path": one.path,
        }
        if kind == "remote":
            if not one.dynamic:
                return connection.forward_remote(*place, path=one.host_path, **listen)
            permitted = _places(config.permit_remote_open)
            return connection.forward_remote_dynamic(permitted=permitted, **listen)
        unix = None
        if one.path:
            from nacre.tunnels.unix import UnixSockets

            unix = UnixSockets(config.stream_local_bind_mask, config.stream_local_bind_unlink)
        if kind == "dynamic":
            return connection.forward_dynamic(unix=unix, **listen)
        return connection.forward_local(*place, path=one.host_path, unix=unix, **listen)

    def _bind(self, kind: str, one: Forward) -> str:
        if one.address is not None:
            return one.address
        return "" if kind != "remote" and self._config.gateway_ports else "localhost"


def _destination(one: Forward) -> str:
    """Return where a forwarding leads, as a message says it."""
    if one.dynamic:
        return "a SOCKS client's destination"
    return safe(one.host_path) or f"{safe(one.host)}:{one.host_port}"


def _places(texts: tuple[str, ...] | None) -> list[tuple[str, int | None]] | None:
    if texts is None:
        return None
    return [place_or_any("PermitRemoteOpen", text) for text in texts]


def _refusal(one: Forward, host: str, error: OSError) -> str:
    """Return why a place here can't be listened on, and what helps."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if one.path:
        taken = error.errno == errno.EADDRINUSE
        remedy = "; remove the file, or set StreamLocalBindUnlink" if taken else ""
        return f"bind {safe(one.path)}: {reason}{remedy}"
    where = f"bind [{safe(host) or '*'}]:{one.port}"
    if isinstance(error, PermissionError):
        return f"{where}: Permission denied; ports below 1024 need root"
    remedy = "choose another port or address, or end the program that uses it"
    return f"{where}: {reason}; {remedy}"


async def join(
    connection: Connection,
    place: OtherEnd,
    stdin: int = _STDIN,
    stdout: int = _STDOUT,
    *,
    ours: bool = True,
    opened: Callable[[], None] = lambda: None,
) -> None:
    """Join two descriptors to a connection that the server makes, until it ends.

    :param ours: whether they are this program's own; others are closed at the end.
    :param opened: called when the server has made the connection.
    :raises ChannelOpenFailed: the server refused, or could not connect.
    """
    opening = (
        connection.open_unix_connection(place)
        if isinstance(place, str)
        else connection.open_connection(*place)
    )
    async with AsyncExitStack() as stack:
        output = StandardOutput(stdout)
        if not ours:
            stack.callback(os.close, stdin)
            stack.callback(output.close)
        tunnel = await stack.enter_async_context(opening)
        opened()
        feeding = asyncio.create_task(
            _feed(tunnel.writer, StandardInput(stdin, contended=not ours))
        )
        try:
            while data := await tunnel.reader.read(READ):
                await output.write(data)
            ended = asyncio.create_task(tunnel.wait_closed())
            await asyncio.wait({feeding, ended}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
        except BrokenPipeError:
            return  # the reader of our output is gone
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def _feed(writer: Writer, source: StandardInput) -> None:
    with closing(source), suppress(StreamClosed):
        while data := await source.read():
            await writer.write(data)
        writer.write_eof()
