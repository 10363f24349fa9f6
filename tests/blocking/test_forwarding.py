"""Ports and agents forwarded without await."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import nacre
import nacre.blocking
from tunnels.devices import stand_in


class Generous(nacre.Users):
    def direct_connection(self, host: str, port: int, connection: nacre.ServerConnection) -> bool:
        return True

    def remote_listen(self, host: str, port: int, connection: nacre.ServerConnection) -> str | None:
        return "127.0.0.1"

    def agent_forwarding(self, session: nacre.Session) -> bool:
        return True

    def x11_forwarding(self, session: nacre.Session) -> bool:
        return True

    def tunnel_device(
        self, mode: nacre.TunnelMode, unit: int | None, connection: nacre.ServerConnection
    ) -> nacre.TunnelDevice:
        device, self.network = stand_in(mode)
        return device


def handle(session: nacre.blocking.Session) -> int:
    """Tell the display, or ask the agent."""
    if session.x11 is None:
        return ask_agent(session)
    session.stdout.write(session.x11.name.encode())
    return 0


def ask_agent(session: nacre.blocking.Session) -> int:
    assert session.forwards_agent
    with session.agent_socket() as agent, socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(agent.path)
        sock.sendall(b"question")
        session.stdout.write(sock.recv(100))
    return os.path.exists(agent.path)


@pytest.fixture
def policy() -> Generous:
    return Generous({"alice": "secret"})


@pytest.fixture
def ssh(policy: Generous) -> Iterator[nacre.blocking.Connection]:
    with (
        nacre.blocking.listen(
            host_keys=[nacre.generate("ssh-ed25519")],
            policy=policy,
            handler=handle,
            log=lambda record: None,
        ) as server,
        nacre.blocking.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            password="secret",
            keys=[],
            agent=False,
            trust=nacre.AnyHostKey(),
        ) as connection,
    ):
        yield connection


def echo_once(listener: socket.socket) -> None:
    with listener:
        sock, _ = listener.accept()
        with sock:
            while data := sock.recv(1 << 16):
                sock.sendall(data)


@pytest.fixture
def target() -> Iterator[int]:
    """The port of a server that echoes on one connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    thread = threading.Thread(target=echo_once, args=(listener,), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(20)
    assert not thread.is_alive()


def round_trip(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"there and back")
        sock.shutdown(socket.SHUT_WR)
        return sock.makefile("rb").read()


def test_local(ssh: nacre.blocking.Connection, target: int) -> None:
    with ssh.forward_local("127.0.0.1", target) as listener:
        assert round_trip(listener.port) == b"there and back"
    assert listener.closed


def test_remote(ssh: nacre.blocking.Connection, target: int) -> None:
    with ssh.forward_remote("127.0.0.1", target) as listener:
        assert round_trip(listener.port) == b"there and back"
    assert listener.closed


def test_dynamic(ssh: nacre.blocking.Connection, target: int) -> None:
    with (
        ssh.forward_dynamic() as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as sock,
    ):
        sock.sendall(b"\x04\x01" + target.to_bytes(2, "big") + b"\x7f\0\0\x01\0")
        assert sock.recv(8, socket.MSG_WAITALL)[:2] == b"\0\x5a"
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


def test_streams(ssh: nacre.blocking.Connection, target: int) -> None:
    with ssh.open_connection("127.0.0.1", target) as tunnel:
        tunnel.writer.write(b"there and back")
        tunnel.writer.write_eof()
        assert tunnel.reader.read() == b"there and back"


def test_agent(ssh: nacre.blocking.Connection, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        listener.settimeout(20)
        thread = threading.Thread(target=echo_once, args=(listener,), daemon=True)
        thread.start()
        ssh.forward_agent(tmp_path / "agent")
        done = ssh.run("anything")
        thread.join(20)
    assert (done.stdout, done.exit_status) == ("question", 0)


def test_a_display(ssh: nacre.blocking.Connection) -> None:
    ssh.forward_x11("/no/such:7.3", xauth="/no/such/xauth")
    done = ssh.run("anything")
    assert done.stdout.startswith("localhost:")
    assert done.stdout.endswith(".3")


def test_tunnel_devices(
    ssh: nacre.blocking.Connection, policy: Generous, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, here = stand_in()
    monkeypatch.setattr(nacre.TunnelDevice, "open", lambda mode, unit: device)
    with here, ssh.forward_tunnel() as tunnel:
        assert (tunnel.name, tunnel.closed) == ("tun-stand-in", False)
        here.setblocking(True)
        here.settimeout(20)
        with policy.network as there:
            there.send(b"\x45packet")
            assert here.recv(100) == b"\x45packet"
            there.close()
