"""The distribution's libssh, by ctypes, as a client: PORT USER KEY LOCAL BACK (see README.md)."""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import c_char_p, c_int, c_size_t, c_ssize_t, c_uint, c_uint64, c_void_p
from pathlib import Path

HOST, PORT, USER, REKEY_DATA = 0, 1, 4, 39
"""enum ssh_options_e of libssh/libssh.h."""

BLOCK = 32768

LIBRARY = ctypes.CDLL("libssh.so.4")

SIGNATURES = {
    "ssh_new": (c_void_p,),
    "ssh_options_set": (c_int, c_void_p, c_int, c_void_p),
    "ssh_get_error": (c_char_p, c_void_p),
    "ssh_connect": (c_int, c_void_p),
    "ssh_disconnect": (None, c_void_p),
    "ssh_pki_import_privkey_file": (c_int, c_char_p, c_char_p, c_void_p, c_void_p, c_void_p),
    "ssh_userauth_publickey": (c_int, c_void_p, c_char_p, c_void_p),
    "ssh_channel_new": (c_void_p, c_void_p),
    "ssh_channel_open_session": (c_int, c_void_p),
    "ssh_channel_request_exec": (c_int, c_void_p, c_char_p),
    "ssh_channel_read": (c_int, c_void_p, c_char_p, c_uint, c_int),
    "ssh_channel_get_exit_status": (c_int, c_void_p),
    "ssh_channel_free": (None, c_void_p),
    "sftp_new": (c_void_p, c_void_p),
    "sftp_init": (c_int, c_void_p),
    "sftp_mkdir": (c_int, c_void_p, c_char_p, c_uint),
    "sftp_open": (c_void_p, c_void_p, c_char_p, c_int, c_uint),
    "sftp_write": (c_ssize_t, c_void_p, c_char_p, c_size_t),
    "sftp_read": (c_ssize_t, c_void_p, c_char_p, c_size_t),
    "sftp_close": (c_int, c_void_p),
    "sftp_symlink": (c_int, c_void_p, c_char_p, c_char_p),
    "sftp_readlink": (c_char_p, c_void_p, c_char_p),
}
for _name, (_result, *_arguments) in SIGNATURES.items():
    _function = getattr(LIBRARY, _name)
    _function.restype, _function.argtypes = _result, _arguments


class Client:
    def __init__(self, port: int, user: str, key: str) -> None:
        self.session = LIBRARY.ssh_new()
        self._set(HOST, ctypes.create_string_buffer(b"127.0.0.1"))
        self._set(PORT, ctypes.byref(c_uint(port)))
        self._set(USER, ctypes.create_string_buffer(user.encode()))
        self._set(REKEY_DATA, ctypes.byref(c_uint64(1 << 20)))
        self.must(LIBRARY.ssh_connect(self.session) == 0)
        private = c_void_p()
        read = LIBRARY.ssh_pki_import_privkey_file(
            key.encode(), None, None, None, ctypes.byref(private)
        )
        self.must(read == 0)
        self.must(LIBRARY.ssh_userauth_publickey(self.session, None, private) == 0)

    def _set(self, option: int, value: object) -> None:
        self.must(LIBRARY.ssh_options_set(self.session, option, value) == 0)

    def must(self, condition: object) -> None:
        assert condition, LIBRARY.ssh_get_error(self.session).decode()

    def run(self) -> None:
        channel = LIBRARY.ssh_channel_new(self.session)
        self.must(LIBRARY.ssh_channel_open_session(channel) == 0)
        self.must(LIBRARY.ssh_channel_request_exec(channel, b"echo out; echo err >&2; exit 7") == 0)
        found = [self._all_of(channel, stream) for stream in (0, 1)]
        found.append(LIBRARY.ssh_channel_get_exit_status(channel))
        LIBRARY.ssh_channel_free(channel)
        assert found == [b"out\n", b"err\n", 7], found

    def _all_of(self, channel: int, stream: int) -> bytes:
        block, found = ctypes.create_string_buffer(BLOCK), b""
        while (count := LIBRARY.ssh_channel_read(channel, block, BLOCK, stream)) > 0:
            found += block.raw[:count]
        return found

    def start_files(self) -> None:
        self.sftp = LIBRARY.sftp_new(self.session)
        self.must(self.sftp and LIBRARY.sftp_init(self.sftp) == 0)

    def mkdir(self, name: str) -> None:
        self.must(LIBRARY.sftp_mkdir(self.sftp, name.encode(), 0o755) == 0)

    def _open(self, name: str, flags: int) -> int:
        file = LIBRARY.sftp_open(self.sftp, name.encode(), flags, 0o644)
        self.must(file)
        return int(file)

    def put(self, local: Path, remote: str) -> None:
        target = self._open(remote, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with local.open("rb") as source:
            while block := source.read(BLOCK):
                self.must(LIBRARY.sftp_write(target, block, len(block)) == len(block))
        self.must(LIBRARY.sftp_close(target) == 0)

    def get(self, remote: str, local: Path) -> None:
        source = self._open(remote, os.O_RDONLY)
        block = ctypes.create_string_buffer(BLOCK)
        with local.open("wb") as target:
            while (count := LIBRARY.sftp_read(source, block, BLOCK)) > 0:
                target.write(memoryview(block)[:count])
            self.must(count == 0)
        self.must(LIBRARY.sftp_close(source) == 0)

    def link(self, target: bytes, link: bytes) -> None:
        self.must(LIBRARY.sftp_symlink(self.sftp, target, link) == 0)
        assert LIBRARY.sftp_readlink(self.sftp, link) == target


def main(port: str, user: str, key: str, local: Path, back: Path) -> None:
    client = Client(int(port), user, key)
    client.run()
    client.start_files()
    client.mkdir("there")
    client.mkdir("there/many")
    names = os.listdir(local / "many")
    for name in names:
        client.put(local / "many" / name, f"there/many/{name}")
    client.put(local / "large", "there/large")
    client.link(b"large", b"there/link")

    (back / "many").mkdir()
    for name in names:
        client.get(f"there/many/{name}", back / "many" / name)
    client.get("there/large", back / "large")
    LIBRARY.ssh_disconnect(client.session)


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]), Path(sys.argv[5]))
