"""The command of a further process of Python that imports what this one does, and nothing else."""

from __future__ import annotations

import os
import sys


def with_modules(run: str) -> str:
    """Return code that has the modules of this process, and then runs."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The first path of this process is the directory of its program.
    paths = [here, *sys.path[1:]]
    return f"import sys; sys.path += {paths!r}; {run}"


def isolated(code: str) -> list[str]:
    """Return the command of a process that runs code.

    No variable, working directory or home decides what is imported, or a user who may upload a file
    could have it executed.
    """
    return [sys.executable, "-I", "-S", "-c", code]
