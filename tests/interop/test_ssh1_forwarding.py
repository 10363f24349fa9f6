"""Port and agent forwarding of SSH-1 with real clients, against the server's engine alone."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.programs import check, environment, require
from interop.ssh1_peers import OPENSSL
from nacre.protocol.asks import (
    AskGlobalRequest,
    AskOpen,
    AskPassword,
    AskRequest,
    AskUser,
    GlobalGranted,
    Granted,
    UserRequirement,
)
from nacre.protocol.events import ChannelOpened, ConnectionEnded, Data, EofReceived, Event
from nacre.protocol.options import ServerOptions
from nacre.protocol.requests import Exec, ExitStatus
from nacre.ssh1.engine import SSH1Server
from nacre.wire.codec import WireReader, string, u32
from ssh1.pair1 import rsa1

PASSWORD = "secret"


class Echo:
    """A server that echoes what comes on forwarded connections, and speaks to the client's.

    Its commands: ``wait``, which ends when a forwarded connection has; ``remote PORT``, which has
    the client connect to where the port is forwarded, and says there ``ping``; ``agent``, which
    asks the client's agent for its keys. What comes back is what they print.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.asked: list[Any] = []
        self._sock = sock
        self._command = b""
        self._ours = -1
        self._engine = SSH1Server(
            ServerOptions(host_keys=(rsa1(1024),), announce="1.5"),
            server_key=rsa1(768),
            random=os.urandom,
        )

    def run(self) -> None:
        engine = self._engine
        engine.start(0.0)
        self._sock.settimeout(20)
        while True:
            while events := engine.take_events():
                for event in events:
                    self._act(event)
                    if isinstance(event, ConnectionEnded):
                        self._flush()
                        return
            self._flush()
            data = self._sock.recv(65536)
            if data:
                engine.receive(data, 0.0)
            else:
                engine.receive_eof()

    def _flush(self) -> None:
        try:
            self._sock.sendall(self._engine.take_output())
        except OSError:
            self._engine.receive_eof()

    def _act(self, event: Event) -> None:
        engine = self._engine
        match event:
            case AskUser():
                engine.answer(event.ask_id, UserRequirement((frozenset({"password"}),)))
            case AskGlobalRequest():
                self.asked.append((event.name, event.data))
                engine.answer(event.ask_id, GlobalGranted())
            case AskPassword() | AskOpen():
                if isinstance(event, AskOpen):
                    self.asked.append((event.channel_type, event.data))
                engine.answer(event.ask_id, Granted())
            case AskRequest(request=request):
                self.asked.append(request.NAME)
                engine.answer(event.ask_id, Granted())
                if isinstance(request, Exec):
                    self._start(request.command)
            case ChannelOpened(channel=channel) if channel == self._ours:
                greeting = b"ping" if self._command != b"agent" else u32(1) + b"\x0b"
                engine.connection.send_data(channel, greeting)
                if self._command != b"agent":
                    engine.connection.send_eof(channel)
            case Data(channel=channel, data=data) if channel == self._ours:
                engine.connection.send_data(0, data)
                if self._command == b"agent":
                    self._exit(channel)
            case Data(channel=channel, data=data) if channel:
                engine.connection.send_data(channel, data)
                engine.connection.adjust_window(channel, len(data))
            case EofReceived(channel=channel) if channel:
                self._exit(channel)

    def _start(self, command: bytes) -> None:
        self._command = command
        connection = self._engine.connection
        if command == b"agent":
            self._ours = connection.open_channel("auth-agent@openssh.com")
        elif command.startswith(b"remote "):
            port = int(command.split()[1])
            data = string(b"localhost") + u32(port) + string(b"10.0.0.9") + u32(5)
            self._ours = connection.open_channel("forwarded-tcpip", data)

    def _exit(self, channel: int) -> None:
        connection = self._engine.connection
        connection.close_channel(channel)
        connection.send_request(0, ExitStatus(0))
        connection.close_channel(0)


class Served:
    """A listening socket, and a thread that serves the one client that comes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20)
        self.port = self._listener.getsockname()[1]
        self.asked: list[Any] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        with sock:
            echo = Echo(sock)
            self.asked = echo.asked
            echo.run()

    def close(self) -> None:
        self._thread.join(20)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(params=["ssh1", "plink"])
def client(request: pytest.FixtureRequest, served: Served, tmp_path: Path) -> list[str]:
    """The command line of a client up to its options; the host comes at their end."""
    if request.param == "plink":
        found = rsa1(1024).public.fingerprint("md5").removeprefix("MD5:")
        login = ["-batch", "-1", "-P", str(served.port), "-l", "any", "-pw", PASSWORD]
        return [require("plink"), *login, "-hostkey", found]
    words = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path / 'known'}"]
    words += ["LogLevel=ERROR", "ExitOnForwardFailure=yes"]
    listed = [part for word in words for part in ("-o", word)]
    return [require("ssh1"), "-F", "none", "-1", "-p", str(served.port), "-l", "any", *listed]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "openssl.cnf").write_text(OPENSSL)
    script = tmp_path / "askpass"
    script.write_text(f"#!/bin/sh\necho {PASSWORD}\n")
    script.chmod(0o700)
    found = {"OPENSSL_CONF": str(tmp_path / "openssl.cnf"), "HOME": str(tmp_path)}
    return {**found, "SSH_ASKPASS": str(script), "DISPLAY": ":0"}


@pytest.mark.parametrize("way", ["-L", "-D"])
def test_local_forwarding(client: list[str], served: Served, env: dict[str, str], way: str) -> None:
    """1 MiB through a forwarded port, or a proxy, and back."""
    port, data = free_port(), random.Random(3).randbytes(1 << 20)
    where = f"127.0.0.1:{port}" + (":example.org:80" if way == "-L" else "")
    command = [*client, way, where, "127.0.0.1", "wait"]
    with subprocess.Popen(
        command, env=environment(**env), stdin=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            with _connected(port, process) as sock:
                if way == "-D":
                    _ask_proxy(sock)
                threading.Thread(target=_send, args=(sock, data), daemon=True).start()
                assert sock.makefile("rb").read(len(data)) == data
                sock.shutdown(socket.SHUT_WR)
                assert process.wait(20) == 0
        finally:
            process.kill()
    kind, opened = next(one for one in served.asked if one[0] == "direct-tcpip")
    reader = WireReader(opened)
    assert (kind, reader.string(), reader.u32()) == ("direct-tcpip", b"example.org", 80)


def _ask_proxy(sock: socket.socket) -> None:
    """Ask for example.org, port 80, by name (RFC 1928)."""
    sock.sendall(b"\x05\x01\x00")
    assert sock.recv(2) == b"\x05\x00"
    sock.sendall(b"\x05\x01\x00\x03\x0bexample.org" + (80).to_bytes(2, "big"))
    assert sock.recv(10, socket.MSG_WAITALL)[:2] == b"\x05\x00"


def _send(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)


def _connected(port: int, process: Any) -> socket.socket:
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_remote_forwarding(client: list[str], served: Served, env: dict[str, str]) -> None:
    """The client connects to where it said, and not to what the server says."""
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(20)
        got: list[bytes] = []

        def answer() -> None:
            sock, _ = target.accept()
            with sock:
                got.append(sock.makefile("rb").read())
                sock.sendall(b"pong")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        where = f"4711:127.0.0.1:{target.getsockname()[1]}"
        printed = check([*client, "-R", where, "127.0.0.1", "remote 4711"], **env)
        thread.join(20)
    assert (printed, got) == (b"pong", [b"ping"])
    asked = next(data for name, data in filter(_is_pair, served.asked) if name == "tcpip-forward")
    assert asked == string(b"localhost") + u32(4711)


def _is_pair(one: object) -> bool:
    return isinstance(one, tuple)


def test_agent_forwarding(client: list[str], served: Served, env: dict[str, str]) -> None:
    """The agent answers a process on the server: here with a list of no keys."""
    agent = require("ssh-agent")
    started = check([agent, "-s"]).decode()
    words = dict(part.split("=", 1) for part in started.replace(";", "\n").split() if "=" in part)
    try:
        sock = words["SSH_AUTH_SOCK"]
        printed = check([*client, "-A", "127.0.0.1", "agent"], SSH_AUTH_SOCK=sock, **env)
    finally:
        os.kill(int(words["SSH_AGENT_PID"]), 15)
    assert printed == u32(5) + b"\x0c" + u32(0)
    assert "auth-agent-req@openssh.com" in served.asked
