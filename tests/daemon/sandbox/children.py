"""Forked children, which try what the sandbox forbids."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

from nacre.daemon.sandbox.kernel import call

FAILED = 255


def in_a_child(attempt: Callable[[], int]) -> int:
    """Return what ``attempt`` returns in a forked child: an errno; -N if signal N ended it."""
    child = os.fork()
    if not child:
        code = FAILED
        try:
            call(
                "prctl", 38, 1, 0, 0, 0
            )  # PR_SET_NO_NEW_PRIVS, without which only root has filters
            code = attempt()
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
