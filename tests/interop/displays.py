"""An X server without a screen, Xvfb, and the cookie that opens it."""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interop.programs import check, environment, require, run

_START = 30.0


@dataclass(frozen=True)
class XServer:
    """A display with what its programs need.

    :ivar cookie: what opens it, in hexadecimal.
    """

    name: str
    authority: Path
    cookie: str

    @property
    def environment(self) -> dict[str, Any]:
        return {"DISPLAY": self.name, "XAUTHORITY": str(self.authority)}

    @property
    def secures(self) -> bool:
        """Whether it has the extension SECURITY, for programs that are not trusted."""
        return b"SECURITY" in run([require("xdpyinfo")], **self.environment).stdout


@contextmanager
def x_server(directory: Path) -> Iterator[XServer]:
    """Start a display with a number that is free; it keeps its cookies when no program is left."""
    program, xauth = require("Xvfb"), require("xauth")
    authority, cookie = directory / "authority", secrets.token_hex(16)
    check([xauth, "-q", "-f", authority, "add", ":0", ".", cookie])
    reading, writing = os.pipe()
    options = ["-nolisten", "tcp", "-noreset", "-screen", "0", "320x240x8"]
    options += ["+extension", "SECURITY"]
    with subprocess.Popen(
        [program, "-displayfd", str(writing), "-auth", str(authority), *options],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    ) as server:
        os.close(writing)
        try:
            assert select.select([reading], [], [], _START)[0], "Xvfb does not start"
            number = os.read(reading, 16).decode().strip()
            check([xauth, "-q", "-f", authority, "add", f":{number}", ".", cookie])
            yield XServer(f":{number}", authority, cookie)
        finally:
            os.close(reading)
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
