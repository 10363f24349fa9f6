"""Starts a command for each connection, which is its standard input and output, as inetd does.

COMMAND ...; prints "listening on PORT".
"""

from __future__ import annotations

import socket
import subprocess
import sys


def main(command: list[str]) -> None:
    children = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("listening on", listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                children.append(subprocess.Popen(command, stdin=connection, stdout=connection))


if __name__ == "__main__":
    main(sys.argv[1:])
