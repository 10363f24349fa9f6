"""How the programs start and end: descriptors, garbage collection, the exit status.

``nacre ssh`` loads this module first, so it imports nothing of nacre.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

FAILURE = 255
"""The exit status of ssh(1) for an error of its own, as opposed to one of the remote command."""


Run = Callable[[str, Sequence[str]], int]
"""Gets the program's name and its words; returns the exit status."""


def start(run: Run, program: str, words: Sequence[str]) -> NoReturn:
    """Run a program and end the process with its exit status.

    :param run: calls :func:`loaded` once its modules are loaded.
    """
    prepare()
    # Modules being loaded leave no garbage. A collection meanwhile would take a tenth of the time
    # until the first byte is sent.
    gc.disable()
    status = completed(run, program, words)
    # Everything is closed and written. Finalization would free all modules object by object; the
    # system frees the memory at once.
    os._exit(status)


def prepare() -> None:
    """Make this process safe for secrets; every program does this first. Twice does no harm."""
    from nacre.crypto.secrecy import hide_memory

    _occupy_standard_descriptors()
    hide_memory()


def completed(run: Run, program: str, words: Sequence[str], failure: int = FAILURE) -> int:
    """Run a program, and write all of its output; return its exit status.

    Output that can't be written ends it: by SIGPIPE where the reader is gone, as in ``| head``,
    otherwise with a message. An error message that can't be written changes nothing.

    :param failure: the exit status for output that can't be written.
    """
    _open_streams()
    try:
        status = run(program, words)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        return failure
    except OSError as error:
        _discard_output()
        print(f"{program}: {error.strerror or error}", file=sys.stderr)
        return failure
    return status


class _Messages(io.FileIO):
    """Standard error; what it can't take is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def complain(program: str, error: Exception) -> int:
    """Print an error, with the program's name before each of its lines; return FAILURE."""
    for line in str(error).split("\n"):
        print(f"{program}: {line}", file=sys.stderr)
    return FAILURE


def _open_streams() -> None:
    """Open streams for closed descriptors, and one for error messages that never raises."""
    if sys.__stdin__ is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.__stdout__ is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Messages(2, "w", closefd=False)),
        errors="backslashreplace",
        line_buffering=True,
    )


def _discard_output() -> None:
    """Drop the output that is buffered: Python would try to write it once more at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def load_asyncio() -> None:
    """Load asyncio without TLS, for which SSH has no use.

    It looks for the module ssl, and does without where there is none: 3 ms of 85 of processor time
    of a start.
    """
    name = "ssl"
    if name in sys.modules:
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import asyncio  # noqa: F401
    finally:
        del sys.modules[name]


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
