"""A recording, as asciicast."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator

from nacre.cli.api.call import CheckedCall, Resources
from nacre.cli.api.calls.recorded import LONGEST, opened
from nacre.limits import KIB

_PART = 64 * KIB


async def recorded(resources: Resources, call: CheckedCall) -> AsyncGenerator[str, None]:
    """Yield the text of a recording.

    :raises Problem: there is none, it is sealed, or too long.
    """
    loop = asyncio.get_running_loop()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with await loop.run_in_executor(None, opened, resources, call) as file:
        left = LONGEST  # one that is written meanwhile may grow
        while data := await loop.run_in_executor(None, file.read, min(_PART, left)):
            left -= len(data)
            yield decoder.decode(data)
        yield decoder.decode(b"", True)
