"""The process of ``nacre agent`` that holds the keys."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

from nacre.agent.memory import MemoryKeyring
from nacre.agent.security_keys import SecurityKeys
from nacre.agent.server import AgentServer, AgentSocketFile
from nacre.cli.agent.arguments import AgentArguments
from nacre.cli.common.prompts import confirm, notice, prompt
from nacre.cli.common.start import loaded
from nacre.daemon.memory import keep_secrets, lock_memory

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)
"""The signals that the agent handles; the caller of :func:`hold_keys` has blocked them."""

_ENDED = 2
"""The exit status of ssh-agent after a signal, and after its command has ended."""

_SYSLOG_NAME = "ssh-agent"
_PARENT = 10.0
"""Seconds between looks for the command, where the system does not tell that it has ended."""


def hold_keys(
    arguments: AgentArguments, listening: AgentSocketFile, parent: int | None = None
) -> int:
    """Serve the agent until a signal ends it; return the exit status.

    :param parent: the process with whose end the agent ends, or None.
    """
    keep_secrets()
    lock_memory()
    loaded()
    try:
        asyncio.run(_serve(arguments, listening, parent))
    finally:
        listening.remove()
    return _ENDED


async def _serve(arguments: AgentArguments, listening: AgentSocketFile, parent: int | None) -> None:
    keyring = MemoryKeyring(
        confirm=confirm,
        lifetime=arguments.lifetime,
        security_keys=SecurityKeys(
            pin=partial(prompt, echo=False),
            touch=notice,
            websafe_only=arguments.websafe_only,
            libraries=arguments.libraries,
            remote_libraries=arguments.remote_libraries,
        ),
        hash_name=arguments.hash_name,
    )
    server = AgentServer(listening, keyring, _to_stderr if arguments.debug else _to_syslog())
    await server.start()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, server.close)
    if arguments.foreground or arguments.debug:
        loop.add_signal_handler(signal.SIGINT, server.close)
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGUSR1, keyring.remove_all)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if parent is not None:
        _watch(parent, server.close)
    await server.wait_closed()


def _watch(parent: int, ended: Callable[[], object]) -> None:
    """Call ``ended`` when the parent process has ended."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(parent)
    except (AttributeError, OSError):

        def look() -> None:
            if os.getppid() == parent:
                loop.call_later(_PARENT, look)
            else:
                ended()

        look()
        return

    def gone() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        ended()

    loop.add_reader(descriptor, gone)
    if os.getppid() != parent:  # it has ended before, and its number may be another's
        ended()


def _to_stderr(line: str) -> None:
    print(f"{_SYSLOG_NAME}: {line}", file=sys.stderr)


def _to_syslog() -> Callable[[str], None]:
    import syslog

    syslog.openlog(_SYSLOG_NAME, syslog.LOG_PID, syslog.LOG_AUTH)
    return lambda line: syslog.syslog(syslog.LOG_INFO, line)
