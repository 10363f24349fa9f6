"""``nacre ssh`` as the master of a shared connection: ControlMaster and ControlPersist.

What clients ask for runs here as the program's own: sessions by session.py, ``-W`` and ports by
tunnels.py. :mod:`nacre.client.sharing.master` has the protocol.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from typing import Any

from nacre.cli.common.log import Log
from nacre.cli.common.prompts import confirm
from nacre.cli.common.start import FAILURE
from nacre.cli.ssh.session import LocalEnd, Plan, Resizes, TerminalSession, environment
from nacre.cli.ssh.tunnels import Forwardings, join
from nacre.client.connection import Connection
from nacre.client.sharing.master import Guest, Master
from nacre.client.sharing.messages import (
    DYNAMIC,
    LOCAL,
    NO_ESCAPE,
    REMOTE,
    SOCKS,
    UNIX_SOCKET,
    CloseForward,
    NewSession,
    NewStdioForward,
    OpenForward,
    texts,
)
from nacre.client.sharing.sockets import ControlListener
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.syntax.tokens import expand_path
from nacre.config.tunnels import Forward
from nacre.errors import ConfigurationError, RequestFailed
from nacre.wire.text import safe

_KINDS = {LOCAL: "local", REMOTE: "remote", DYNAMIC: "dynamic"}
_ASKING = ("ask", "autoask")


def start_sharing(
    connection: Connection,
    target: Target,
    config: ClientConfig,
    forwardings: Forwardings,
    log: Log,
) -> Sharing | None:
    """Become the master of the connection; None, with a message, if there is one at the path.

    :raises ConfigurationError: the socket can't be made.
    """
    assert config.control_path is not None
    path = expand_path(config.control_path, target.tokens())
    try:
        listener = ControlListener(path)
    except FileExistsError:
        log.error(f"ControlSocket {safe(path)} already exists, disabling multiplexing")
        return None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(f"ControlPath {safe(path)}: {reason}") from error
    return Sharing(connection, config, forwardings, log, listener)


class Sharing:
    """A connection that this program shares, and what its clients get of it.

    :ivar resizes: for all sessions of the connection.
    """

    def __init__(
        self,
        connection: Connection,
        config: ClientConfig,
        forwardings: Forwardings,
        log: Log,
        listener: ControlListener,
    ) -> None:
        self.resizes = Resizes()
        self._connection = connection
        self._config = config
        self._forwardings = forwardings
        self._log = log
        ask = confirm if config.control_master in _ASKING else None
        self._master = Master(connection, listener, self, ask=ask, log=log.verbose)

    async def until_terminated(self, work: Coroutine[Any, Any, int]) -> int:
        """Run ``work``, and end it when a client ends the connection (``-O exit``)."""
        running = asyncio.create_task(work)
        ending = asyncio.create_task(self._master.terminated.wait())
        try:
            await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
            return running.result() if running.done() else FAILURE
        finally:
            self._master.stop()
            for task in (running, ending):
                task.cancel()
            await asyncio.gather(running, ending, return_exceptions=True)

    async def persist(self, seconds: float | bool) -> int:
        """Serve clients until the connection is not used for so long; True for ever.

        :returns: the exit status, which nobody waits for.
        """

        async def unused() -> int:
            await self.wait_unused(None if seconds is True else seconds)
            return 0

        return await self.until_terminated(unused())

    async def wait_unused(self, seconds: float | None) -> None:
        """Return when the connection has ended, or nobody has used it for so long, or can any more.

        :param seconds: None for ever, unless a client stops the master (``-O stop``).
        """
        waiting = [asyncio.create_task(self._when_stopped())]
        if seconds is not None:
            waiting.append(asyncio.create_task(self._connection.wait_idle(seconds)))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _when_stopped(self) -> None:
        await self._master.stopped.wait()
        await self._connection.wait_idle()

    # --- for clients; see nacre.client.sharing.master.Services ---

    async def session(
        self, wanted: NewSession, descriptors: Sequence[int], guest: Guest
    ) -> int | None:
        """See :class:`~nacre.client.sharing.master.Services`."""
        stdin, stdout, stderr = descriptors
        named = (text.partition("=") for text in texts(wanted.environment))
        variables = {name: value for name, equals, value in named if name and equals}
        plan = Plan(
            command=None
            if wanted.subsystem or not wanted.command
            else wanted.command.encode("utf-8", "surrogateescape"),
            subsystem=wanted.command if wanted.subsystem else None,
            environment=environment(self._config, variables),
            terminal=bool(wanted.terminal),
            escape=None if wanted.escape == NO_ESCAPE else bytes((wanted.escape & 0xFF,)),
            read_input=True,
            keystroke_interval=self._config.obscure_keystroke_timing / 1000,
            agent=bool(wanted.agent),
            x11=bool(wanted.x11),
        )
        place = LocalEnd(
            (stdin, stdout, stderr),
            wanted.terminal_type,
            ours=False,
            opened=guest.opened,
            no_terminal=guest.no_terminal,
        )
        session = TerminalSession(self._connection, plan, self._log.info, place, self.resizes)
        return await session.run()

    async def join(self, wanted: NewStdioForward, descriptors: Sequence[int], guest: Guest) -> None:
        """See :class:`~nacre.client.sharing.master.Services`."""
        unix = wanted.port == UNIX_SOCKET
        place = wanted.host if unix else (wanted.host, wanted.port)
        stdin, stdout = descriptors
        await join(self._connection, place, stdin, stdout, ours=False, opened=guest.opened)

    async def open_forward(self, wanted: OpenForward) -> int:
        """See :class:`~nacre.client.sharing.master.Services`."""
        kind, forward = _forward(wanted)
        listener = await self._forwardings.open(kind, forward)
        chosen = kind == "remote" and not forward.path and not forward.port
        return listener.port if chosen else 0

    async def close_forward(self, wanted: CloseForward) -> None:
        """See :class:`~nacre.client.sharing.master.Services`."""
        await self._forwardings.close(*_forward(wanted))


def _forward(wanted: OpenForward | CloseForward) -> tuple[str, Forward]:
    """Return the kind of a forwarding and its words.

    :raises RequestFailed: there is no such kind or port.
    """
    kind = _KINDS.get(wanted.kind)
    if kind is None:
        raise RequestFailed(f"invalid forwarding type {wanted.kind}")
    path, port = _place(wanted.listen_host, wanted.listen_port)
    host_path, host_port = _place(wanted.connect_host, wanted.connect_port)
    return kind, Forward(
        bind=None if path or not wanted.listen_host else wanted.listen_host,
        port=port,
        host="" if host_path or wanted.connect_host == SOCKS else wanted.connect_host,
        host_port=host_port,
        path=path,
        host_path=host_path,
    )


def _place(host: str, port: int) -> tuple[str, int]:
    """Return a path and 0, or "" and a port."""
    if port == UNIX_SOCKET:
        return host, 0
    if port > 0xFFFF:
        raise RequestFailed(f"invalid port {port}")
    return "", port
