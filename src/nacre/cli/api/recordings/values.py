"""What the process that does calls asks of the one with the recordings: a message each, of JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_ASKED = 4096
LONGEST_ANSWERED = 112 * 1024
"""Bytes of a message. An answer of :data:`MOST_ROWS` fits whatever the files say."""

MOST_ROWS = 50
"""Recordings of one answer."""

NAME = re.compile(r"\d{4}-\d{2}-\d{2}/[A-Za-z0-9._@+-]{1,128}\.(?:cast|sealed)", re.ASCII)
"""The path of a recording below the directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRecordings:
    """List recordings, the newest first.

    :ivar user: whose; empty for all.
    :ivar connection: of which connection, as the log names it; empty for all.
    :ivar since: microseconds since the epoch: what began before is left out.
    :ivar after: the path of one; those before it in time are wanted. Empty for the newest.
    :ivar limit: at most so many.
    """

    user: str = ""
    connection: str = ""
    since: int = 0
    after: str = ""
    limit: int = MOST_ROWS
