"""Floor 7: the same API without await, through one background loop.

::

    with nacre.blocking.connect("example.org", user="alice") as ssh:
        print(ssh.run("uname -a").stdout)

Names and arguments are those of :mod:`nacre`; what is awaited there is returned here. Streams are
raw files; the files of ``ssh.sftp()`` are those of :mod:`io`. Handlers and policies of
:func:`listen` are plain functions that run in threads.
"""

from __future__ import annotations

from nacre.blocking.client import Connection, Process, connect
from nacre.blocking.server import Server, Session, listen
from nacre.blocking.sftp import SFTPClient
from nacre.blocking.streams import Reader, Writer
from nacre.blocking.tcpip import AgentSocket, Listener, Tunnel

__all__ = [
    "AgentSocket",
    "Connection",
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
