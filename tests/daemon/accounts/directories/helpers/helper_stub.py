"""What a helper runs in tests: it does what its settings say."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from nacre.daemon.accounts.directories.helpers.process import Answers, serve
from nacre.errors import AccountError


def main() -> None:
    """Answer questions until standard input ends."""
    serve("stub", _answers)


def _answers(settings: dict[str, Any]) -> Answers:
    def answer(question: Mapping[str, Any]) -> object:
        deed = question["deed"]
        if deed == "hang":
            time.sleep(100)
        elif deed == "end":
            os._exit(1)
        elif deed == "flood":
            sys.stdout.write("x" * 100_000)
        elif deed == "rubbish":
            sys.stdout.write("rubbish")
        elif deed == "refuse":
            raise AccountError("it is refused")
        elif deed == "fail":
            raise ValueError("secret")
        return {"pid": os.getpid(), "uid": os.geteuid(), "settings": settings, **os.environ}

    return answer
