"""How the programs start and end: descriptors, garbage collection, the exit status.

``nacre ssh`` loads this module first, so it imports nothing of nacre.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

FAILURE = 255
"""The exit status of ssh(1) for an error of its own, as opposed to one of the remote command."""


def start(run: Callable[[str, Sequence[str]], int], program: str, words: Sequence[str]) -> NoReturn:
    """Run a program and end the process with its exit status.

    :param run: gets ``program`` and ``words``; calls :func:`loaded` once its modules are loaded.
    """
    prepare()
    # Modules being loaded leave no garbage. A collection meanwhile would take a tenth of the time
    # until the first byte is sent.
    gc.disable()
    status = run(program, words)
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        sys.exit(status)
    # Everything is closed and written. Finalization would free all modules object by object; the
    # system frees the memory at once.
    os._exit(status)


def prepare() -> None:
    """Make this process safe for secrets; every program does this first. Twice does no harm."""
    from nacre.crypto.secrecy import hide_memory

    _occupy_standard_descriptors()
    hide_memory()


def loaded() -> None:
    """Collect garbage from now on, except among the objects that exist already."""
    gc.freeze()
    gc.enable()


def _occupy_standard_descriptors() -> None:
    """Open ``/dev/null`` as each standard descriptor and stream that is closed.

    Otherwise the next socket would get its number, and printed text would go to the server.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
