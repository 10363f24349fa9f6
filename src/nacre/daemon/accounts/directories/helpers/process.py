"""What a helper does, whatever it asks: see pool.py. This is imported by helpers alone."""

from __future__ import annotations

import codecs
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from nacre.daemon.accounts.directories.values import SECONDS
from nacre.daemon.memory import keep_secrets
from nacre.daemon.sandbox.kernel import call_itself
from nacre.errors import AccountError

_LONGEST = int(SECONDS) + 5
"""Seconds after which a helper ends that has not answered; its server has killed it before."""

Answers: TypeAlias = Callable[[Mapping[str, Any]], object]
"""Answers a question; raises AccountError where it can't."""


def serve(name: str, make: Callable[[dict[str, Any]], Answers]) -> None:
    """Answer questions until standard input ends.

    :param name: what the process is called, behind ``nacre-``.
    :param make: gets the settings, still with the rights of the server, and returns what answers.
    """
    # Who has no rights may not see where Python is: the codec of hosts' names is loaded now.
    codecs.lookup("idna")
    lines = sys.stdin.buffer
    first = json.loads(lines.readline())
    answers = make(first["settings"])
    if first["rights"] is not None:
        uid, gid = first["rights"]
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    keep_secrets()
    call_itself(name)
    for line in lines:
        # A library that hangs does not outlive the server, which may be killed meanwhile.
        signal.alarm(_LONGEST)
        sys.stdout.write(json.dumps(_answer(answers, json.loads(line))) + "\n")
        sys.stdout.flush()
        signal.alarm(0)


def _answer(answers: Answers, question: Mapping[str, Any]) -> dict[str, object]:
    try:
        return {"answer": answers(question)}
    except AccountError as error:
        return {"error": str(error)}
    except Exception as error:  # whose text may have the password
        return {"error": f"the process that asks it failed ({type(error).__name__})"}
