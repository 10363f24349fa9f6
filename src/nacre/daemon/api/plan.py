"""What ``nacre serve --api`` was told, and the process that serves it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from nacre.daemon.recording.directory import KeptRecordings
from nacre.daemon.sockets import Address, ListeningSockets, Passed, place
from nacre.errors import ConfigurationError, StateError
from nacre.isolated import isolated, with_modules
from nacre.tunnels.unix_files import identity, remove
from nacre.value import value

READY = b"ready\n"
"""What the process says when it has read all that it needs."""

_PATIENCE = 30.0
"""Seconds that the process has to say so."""

_LONGEST = 4096
_END = 10.0
"""Seconds that it has to end."""


class SocketFiles:
    """The files of the API's Unix sockets, which only the server that serves them removes.

    :param inherited: the paths of those that another server has made, and serves so far.
    """

    def __init__(self, inherited: frozenset[str]) -> None:
        self._inherited = inherited
        self._listening = inherited
        self._owned: frozenset[str] = frozenset()
        self._made = {path: identity(path) for path in inherited}

    def listen(self, paths: frozenset[str]) -> None:
        """Note where this server listens now: what is new is its own."""
        self._listening, self._owned = paths, paths - self._inherited
        self._made |= {path: identity(path) for path in self._owned}

    def share(self, group: int) -> None:
        """Let a group connect to the sockets that are new; the others are another server's so far.

        :raises StateError: it can't be the group of a file, or the file is no more the socket that
            was made.
        """
        for path in self._owned:
            try:
                _share(path, self._made[path], group)
            except OSError as error:
                raise StateError(
                    f"can't give {path} to the group of --api-group: {error.strerror}; name one "
                    "that the server's account is in"
                ) from error

    def own(self) -> None:
        """Have all of them as this server's, and remove those that it does not use."""
        self._owned = self._inherited - self._listening
        self.remove()
        self._owned = self._listening

    def leave(self) -> None:
        """Leave them to another server."""
        self._owned = frozenset()

    def remove(self) -> None:
        """Remove those that are this server's."""
        for path in self._owned:
            remove(path, self._made[path])


def _share(path: str, made: tuple[int, int] | None, group: int) -> None:
    """Let a group connect to the socket with the identity ``made``, and change no other file."""
    number = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(number)
        if (status.st_dev, status.st_ino) != made:
            raise StateError(f"{path} is not the socket that the server has made: start it again")
        opened = f"/proc/self/fd/{number}"  # where chown() and chmod() follow no link of others
        os.chown(opened, -1, group)
        os.chmod(opened, 0o660)
    finally:
        os.close(number)


class OpenedAPI:
    """An API that is served.

    :ivar sockets: the listening sockets, which a successor gets.
    """

    def __init__(self, sockets: ListeningSockets, link: socket.socket, files: SocketFiles) -> None:
        self.sockets = sockets
        self._link = link
        self._files = files

    @property
    def places(self) -> list[str]:
        """The addresses and ports, and the paths."""
        return [place(sock) for sock in self.sockets.all]

    def fileno(self) -> int:
        """Return a descriptor that can be read when the process has ended."""
        return self._link.fileno()

    def leave(self) -> None:
        """End the process: a successor serves the API."""
        self._files.leave()
        with suppress(OSError):
            self._link.send(b"leave\n")

    def own(self) -> None:
        """Have the inherited sockets as this server's: it removes their files at its end."""
        self._files.own()


def _paths(sockets: Iterable[socket.socket]) -> frozenset[str]:
    """Return the paths of the Unix sockets among some."""
    return frozenset(one.getsockname() for one in sockets if one.family == socket.AF_UNIX)


@value
class ServedSSH:
    """Where SSH is served, as clients of the API are told.

    :ivar addresses: an address and a port each.
    :ivar host_keys: the public keys, as lines of ``authorized_keys``.
    """

    addresses: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()


NO_SSH = ServedSSH()


@value(kw_only=True)
class APIPlan:
    """What the API is served with.

    :ivar program: the module whose ``main`` is the process; it gets the descriptor of a link.
    :ivar addresses: where it listens: addresses and ports; a Unix socket has its path, and 0.
    :ivar group: the group that may connect to the Unix sockets, too, and needs keys; or None.
    :ivar certificate: the file of the certificate for TLS and those above it; None for none.
    :ivar key: the file of its private key.
    """

    program: str
    addresses: tuple[tuple[str, int], ...]
    group: int | None = None
    certificate: Path | None = None
    key: Path | None = None

    @contextmanager
    def open(
        self,
        state: Path,
        rights: tuple[int, int] | None,
        *,
        audited: bool,
        inherited: Passed | None = None,
        recordings: KeptRecordings | None = None,
        ssh: ServedSSH = NO_SSH,
    ) -> Iterator[OpenedAPI]:
        """Serve the API up to the end of the context.

        :param state: the state directory.
        :param rights: the account and group of the process that reads HTTP; None for the server's.
        :param audited: whether calls are events of the audit.
        :param recordings: where sessions are recorded, if they are.
        :param ssh: where SSH is served.
        :param inherited: the sockets of the server that this one follows: they are kept where the
            address is the same.
        :raises ConfigurationError: the extra ``api`` is missing, or the address needs TLS.
        :raises StateError: the address or the certificate can't be used.
        """
        check_installed()
        with ListeningSockets() as sockets:
            if inherited is not None:
                sockets.adopt(inherited)
            files = SocketFiles(_paths(sockets.all))
            sockets.change([_address(*one) for one in self.addresses])
            files.listen(_paths(sockets.all))
            try:
                self._check_places(sockets.all)
                if self.group is not None:
                    files.share(self.group)
                link, process = self._start(state, rights, sockets.all, audited, recordings, ssh)
                try:
                    _wait_ready(link)
                    yield OpenedAPI(sockets, link, files)
                finally:
                    link.close()
                    _end(process)
            finally:
                files.remove()

    def _check_places(self, sockets: list[socket.socket]) -> None:
        """Refuse to let keys pass over a network in the clear."""
        for sock in sockets:
            if sock.family == socket.AF_UNIX:
                continue
            host = sock.getsockname()[0].partition("%")[0]
            if self.certificate is None and not ip_address(host).is_loopback:
                raise ConfigurationError(
                    f"--api {place(sock)} can be reached from elsewhere, where "
                    "keys of the API need TLS: give --api-cert and --api-key, or an address of the "
                    "loopback with a reverse proxy in front"
                )

    def _start(
        self,
        state: Path,
        rights: tuple[int, int] | None,
        sockets: list[socket.socket],
        audited: bool,
        recordings: KeptRecordings | None,
        ssh: ServedSSH,
    ) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        given = {
            "state": str(state),
            "sockets": [one.fileno() for one in sockets if one.family != socket.AF_UNIX],
            "local": [one.fileno() for one in sockets if one.family == socket.AF_UNIX],
            "shared": self.group is not None,
            "certificate": str(self.certificate or ""),
            "key": str(self.key or ""),
            "rights": rights,
            "audited": audited,
            "recordings": None if recordings is None else recordings.directory,
            "recorder": None if recordings is None else recordings.rights,
            "addresses": ssh.addresses,
            "host_keys": ssh.host_keys,
        }
        kept = [] if recordings is None else [recordings.directory]
        ours, theirs = socket.socketpair()
        with theirs:
            run = f"from {self.program} import main; main({theirs.fileno()})"
            try:
                process = subprocess.Popen(
                    isolated(with_modules(run)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), *kept, *(sock.fileno() for sock in sockets)],
                    env={},
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise StateError(f"can't start the process of the API: {error.strerror}") from error
        ours.settimeout(_PATIENCE)
        ours.sendall(json.dumps(given).encode() + b"\n")
        return ours, process


def _address(host: str, port: int) -> Address:
    family = socket.AF_UNIX if host.startswith("/") else socket.AF_UNSPEC
    return Address(host, port, family, told_by="--api")


def notice_end(
    link: int, stopping: Callable[[], bool], report: Callable[[Mapping[str, object]], object]
) -> None:
    """Report it on the running loop when the process of an API ends.

    :param link: the descriptor of :meth:`OpenedAPI.fileno`.
    :param stopping: tells whether the server ends, and its API with it.
    """
    loop = asyncio.get_running_loop()

    def on_readable() -> None:
        loop.remove_reader(link)
        if not stopping():
            what = "the API has ended: start the server again to have it"
            report({"event": "error", "what": what})

    loop.add_reader(link, on_readable)


def _wait_ready(link: socket.socket) -> None:
    """Wait until the process has read all that it needs.

    :raises StateError: it can't be used.
    """
    try:
        said = link.recv(_LONGEST)
    except OSError:
        said = b""
    if said != READY:
        reason = said.decode(errors="replace").strip() or "its process has ended"
        raise StateError(f"can't serve the API: {reason}")
    link.settimeout(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the process, which has noticed that the link is closed."""
    try:
        process.wait(_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_installed() -> None:
    """Check that the extra is installed.

    :raises ConfigurationError: it is not.
    """
    needed = ("starlette", "uvicorn", "websockets")
    if any(find_spec(one) is None for one in needed):
        raise ConfigurationError(
            f"--api needs {', '.join(needed)}: install nacre with the extra api, "
            "pip install 'nacre[api]'"
        )
