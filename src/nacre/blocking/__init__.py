"""The same API without await: each call runs in one background loop and waits for the result.

::

    with nacre.blocking.connect("example.org", user="alice") as ssh:
        print(ssh.run("uname -a").stdout)

Names and arguments are those of :mod:`nacre`; what is awaited there is returned here. Streams are
raw files; the files of ``ssh.sftp()`` are those of :mod:`io`. Handlers and policies of
:func:`listen` are plain functions that run in threads.

Start at background.py (the loop, and the functions that make blocking methods), then client.py;
agent, forwarding, server, sftp and streams mirror the modules of the same names. Imports client,
server, agent, sftp and aio; knows nothing of the wire. Public, through the names below; fsspec.py
is an entry point of fsspec. Tests: tests/blocking; the loop: tests/aio/test_background.py.
"""

from __future__ import annotations

from nacre.blocking.agent import Agent
from nacre.blocking.client import Connection, Process, connect
from nacre.blocking.forwarding import AgentSocket, DeviceTunnel, Listener, Tunnel
from nacre.blocking.server import Server, Session, listen
from nacre.blocking.sftp import SFTPClient
from nacre.blocking.streams import Reader, Writer

__all__ = [
    "Agent",
    "AgentSocket",
    "Connection",
    "DeviceTunnel",
    "Listener",
    "Process",
    "Reader",
    "SFTPClient",
    "Server",
    "Session",
    "Tunnel",
    "Writer",
    "connect",
    "listen",
]
