"""Textual and prompt_toolkit apps, and line shells, for any SSH client.

::

    handler = nacre.apps.textual_handler(lambda session: Browser(session.user))
    async with nacre.listen(port=2222, host_keys=[key], policy=users, handler=handler) as server:
        await server.wait_closed()

Start at handlers.py (what programs call), then serving.py (one session, from its start to its end)
and thread.py (each app has a thread and an event loop of its own). output.py and guard.py bound
what a client can make an app keep. The kinds are textual_app.py, prompts.py, and editor.py with
shell.py.
Imports server; knows no store and no account. Public, through the names below. Tests: tests/apps.
"""

from __future__ import annotations

from nacre.apps.handlers import prompt_handler, shell_handler, textual_handler
from nacre.apps.serving import AppHandler
from nacre.apps.shell import LineShell

__all__ = [
    "AppHandler",
    "LineShell",
    "prompt_handler",
    "shell_handler",
    "textual_handler",
]
