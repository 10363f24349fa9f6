"""The process of a hook of Python: it calls a function for each line of standard input.

``python -m nacre.daemon.hooks.caller TARGET``. The answer to a line is one, too: a string of JSON
which is empty, or says what the function has raised.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable
from functools import reduce
from importlib.metadata import entry_points
from typing import Any

GROUP = "nacre.hooks"
"""The group of entry points that are hooks."""

_LONGEST = 1024


def find(target: str) -> Callable[[dict[str, Any]], Any]:
    """Return the function of ``module:function``, or of an entry point.

    :raises LookupError: there is no such entry point.
    """
    module, _, path = target.partition(":")
    if path:
        found: Any = reduce(getattr, path.split("."), importlib.import_module(module))
        return found  # type: ignore[no-any-return]
    for one in entry_points(group=GROUP):
        if one.name == target:
            return one.load()  # type: ignore[no-any-return]
    raise LookupError(f"no package that is installed has an entry point {target} of {GROUP}")


def main(target: str) -> None:
    """Answer each line of standard input, to its end."""
    # What the function prints is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    function: Callable[[dict[str, Any]], Any] | None = None
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            problem = ""
            try:
                function = function or find(target)
                found = function(json.loads(line))
                if inspect.isawaitable(found):
                    runner.run(_wait(found))
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"[:_LONGEST]
            print(json.dumps(problem), file=answers, flush=True)


async def _wait(found: Any) -> None:
    await found


if __name__ == "__main__":
    main(sys.argv[1])
