"""Paramiko as a server: HOST_KEY USER_PUBLIC_KEY; prints "listening on PORT"."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko import SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface


class Handle(SFTPHandle):
    def stat(self) -> Any:
        return SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    def chattr(self, attr: Any) -> int:
        SFTPServer.set_file_attr(self.filename, attr)
        return paramiko.SFTP_OK


def answered(call: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an OSError into the status that the protocol has for it."""

    def method(*words: Any) -> Any:
        try:
            result = call(*words)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)
        return paramiko.SFTP_OK if result is None else result

    return method


def attributes(path: str, found: os.stat_result) -> Any:
    return SFTPAttributes.from_stat(found, os.path.basename(path))


class Files(SFTPServerInterface):
    """The files of this process's directory and of all others."""

    def canonicalize(self, path: str) -> str:
        return os.path.realpath(path)

    @answered
    def open(self, path: str, flags: int, attr: Any) -> Any:
        mode = attr.st_mode & 0o7777 if attr.st_mode is not None else 0o666
        stream = os.fdopen(os.open(path, flags, mode), "wb" if flags & os.O_WRONLY else "rb", 0)
        handle = Handle(flags)
        handle.filename, handle.readfile, handle.writefile = path, stream, stream
        return handle

    @answered
    def list_folder(self, path: str) -> Any:
        names = os.listdir(path)
        return [attributes(name, os.lstat(os.path.join(path, name))) for name in names]

    @answered
    def stat(self, path: str) -> Any:
        return attributes(path, os.stat(path))

    @answered
    def lstat(self, path: str) -> Any:
        return attributes(path, os.lstat(path))

    @answered
    def chattr(self, path: str, attr: Any) -> Any:
        SFTPServer.set_file_attr(path, attr)

    @answered
    def mkdir(self, path: str, _attr: Any) -> Any:
        os.mkdir(path)

    @answered
    def remove(self, path: str) -> Any:
        os.remove(path)

    @answered
    def rename(self, oldpath: str, newpath: str) -> Any:
        os.rename(oldpath, newpath)

    @answered
    def posix_rename(self, oldpath: str, newpath: str) -> Any:
        os.replace(oldpath, newpath)

    @answered
    def symlink(self, target_path: str, path: str) -> Any:
        os.symlink(target_path, path)

    @answered
    def readlink(self, path: str) -> Any:
        return os.readlink(path)


class Policy(paramiko.ServerInterface):
    def __init__(self, known: bytes) -> None:
        self._known = known

    def get_allowed_auths(self, _username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, _username: str, key: paramiko.PKey) -> int:
        is_known = key.asbytes() == self._known
        return paramiko.AUTH_SUCCESSFUL if is_known else paramiko.AUTH_FAILED

    def check_channel_request(self, _kind: str, _number: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
        threading.Thread(target=execute, args=(channel, command), daemon=True).start()
        return True


def execute(channel: Any, command: bytes) -> None:
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    channel.sendall(done.stdout)
    channel.sendall_stderr(done.stderr)
    channel.send_exit_status(done.returncode)
    channel.close()


def main(host_key: str, user_key: str) -> None:
    known = paramiko.PublicBlob.from_file(user_key).key_blob
    host = paramiko.ECDSAKey.from_private_key_file(host_key)
    transports = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("listening on", listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            transport = paramiko.Transport(connection)
            transport.packetizer.REKEY_BYTES = 1 << 20
            transport.add_server_key(host)
            transport.set_subsystem_handler("sftp", SFTPServer, Files)
            transport.start_server(threading.Event(), Policy(known))
            transports.append(transport)


if __name__ == "__main__":
    main(*sys.argv[1:3])
