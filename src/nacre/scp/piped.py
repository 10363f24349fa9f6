"""Serves one copy over standard input and output, without an event loop."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from nacre.errors import NacreError
from nacre.scp.command import ScpCommand
from nacre.scp.server import serve_scp
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.opened import carried_out
from nacre.sftp.server.piped import write_all
from nacre.wire.codec import Buffer

T = TypeVar("T")

_STDIN, _STDOUT = 0, 1


class _PipeLine:
    """Standard input and output."""

    async def read(self, n: int = -1) -> bytes:
        return os.read(_STDIN, n)

    async def write(self, data: Buffer) -> None:
        write_all(_STDOUT, data)


async def _do(work: Coroutine[Any, Any, T]) -> T:
    return await work


def serve_piped(filesystem: Filesystem, command: ScpCommand, journal: Journal) -> int:
    """Carry out ``command``, and close the filesystem; return the exit status."""
    try:
        return carried_out(serve_scp(_PipeLine(), _do, filesystem, command, journal))
    except BrokenPipeError:
        return 1
    except (NacreError, OSError) as error:
        journal.broken(error)
        return 1
    finally:
        filesystem.close()
