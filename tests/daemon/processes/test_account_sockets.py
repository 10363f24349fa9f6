"""Unix sockets with the rights of another account; only root can take them on."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nacre.daemon.processes.account_sockets import AccountSockets
from nacre.errors import ConnectFailed
from parties import until

NOBODY = 65534


def _sockets() -> AccountSockets:
    uid = NOBODY if os.getuid() == 0 else os.getuid()
    return AccountSockets(rights=(uid, uid if uid == NOBODY else os.getgid(), ()))


async def test_files_and_connections_are_the_accounts() -> None:
    sockets = _sockets()
    uid = sockets.rights[0]
    with TemporaryDirectory(prefix="f", dir="/tmp") as short:
        os.chown(short, uid, -1)
        listening, release = await sockets.listen(f"{short}/s")
        try:
            assert Path(short, "s").stat().st_uid == uid
            with await sockets.connect(f"{short}/s") as client:
                assert client.getblocking() is False
                accepted, _ = listening.accept()
                with accepted:
                    form = struct.Struct("3i")
                    option = socket.SOL_SOCKET, socket.SO_PEERCRED
                    seen = form.unpack(accepted.getsockopt(*option, form.size))
                    assert seen[1] == uid
            with pytest.raises(OSError, match="in use"):
                await sockets.listen(f"{short}/s")
        finally:
            listening.close()
            release()
        await until(lambda: not Path(short, "s").exists())


@pytest.mark.skipif(os.getuid() != 0, reason="only root has rights that others lack")
async def test_what_the_account_may_not_use_is_refused() -> None:
    with TemporaryDirectory(prefix="f", dir="/tmp") as short:  # of root, with mode 0700
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"{short}/s")
            listening.listen()
            with pytest.raises(ConnectFailed, match="Permission denied"):
                await _sockets().connect(f"{short}/s")
        with pytest.raises(OSError, match="Permission denied"):
            await _sockets().listen(f"{short}/t")
