"""A recording, as asciicast."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import AsyncGenerator
from typing import IO

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls.recorded import link_of
from nacre.daemon.recording.directory import SEALED
from nacre.errors import StateError
from nacre.limits import KIB, MIB

LONGEST = 32 * MIB
"""Bytes of a recording: as much may wait for a client that is slow."""

_PART = 64 * KIB


async def recorded(resources: Resources, call: CheckedCall) -> AsyncGenerator[str, None]:
    """Yield the text of a recording.

    :raises Problem: there is none, it is sealed, or too long.
    """
    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with await loop.run_in_executor(None, _opened, resources, call) as file:
        left = LONGEST  # one that is written meanwhile may grow
        while data := await loop.run_in_executor(None, file.read, min(_PART, left)):
            left -= len(data)
            yield decoder.decode(data)
        yield decoder.decode(b"", True)


def _opened(resources: Resources, call: CheckedCall) -> IO[bytes]:
    path = f"{call.path['day']}/{call.path['file']}"
    if path.endswith(SEALED):
        raise Problem(409, "it is sealed: play it with `nacre replay --key` where the key is")
    try:
        file = os.fdopen(link_of(resources).open(path), "rb")
    except StateError as error:
        raise Problem(404, str(error)) from None
    if os.fstat(file.fileno()).st_size > LONGEST:
        file.close()
        raise Problem(422, f"it has more than {LONGEST // MIB} MiB: play it with `nacre replay`")
    return file
