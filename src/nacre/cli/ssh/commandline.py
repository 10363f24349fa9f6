"""The command line behind ``~C``: it opens and closes forwardings while a session runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from nacre.config import tunnels
from nacre.config.tunnels import Forward
from nacre.errors import ConfigurationError, NacreError, RequestFailed

PROMPT = "ssh> "

_KINDS = {
    "L": ("local", tunnels.local, "[bind_address:]port:host:hostport"),
    "R": ("remote", tunnels.remote, "[bind_address:]port:host:hostport"),
    "D": ("dynamic", tunnels.dynamic, "[bind_address:]port"),
}
"""By the letter of an option: the kind of a forwarding, what parses it, and its form."""


class Openings(Protocol):
    """What forwards ports."""

    async def open(self, kind: str, one: Forward) -> object:
        """Start a forwarding.

        :raises RequestFailed: it can't be started.
        """

    async def close_at(self, kind: str, listen: str) -> None:
        """End the forwarding that listens at a place, in the form of :attr:`Forward.listen`.

        :raises RequestFailed: there is none such.
        """


class CommandLine:
    """Carries out lines that the user types.

    :param ports: returns what forwards ports; called for lines that need it.
    :param local: runs a command of the user on this machine; None if it may not.
    """

    def __init__(
        self, ports: Callable[[], Openings], local: Callable[[str], Awaitable[None]] | None
    ) -> None:
        self._ports = ports
        self._local = local

    async def run(self, line: str) -> str:
        """Carry out a line; return what to tell the user, or "" for nothing."""
        text = line.strip()
        option = text.removeprefix("-")
        if not option:
            return ""
        if option[0] in "hH?":
            return self._help()
        if text.startswith("!"):
            if self._local is None:
                return "Local commands are not permitted: set PermitLocalCommand."
            await self._local(text[1:].strip())
            return ""
        cancel = option.startswith("K")
        letter = option[cancel : cancel + 1]
        if letter not in _KINDS:
            return "Invalid command: -h lists the commands."
        value = option[cancel + 1 :].strip()
        try:
            return await (self._cancel if cancel else self._start)(letter, value)
        except (ConfigurationError, RequestFailed) as error:
            return str(error)
        except NacreError as error:
            return f"Port forwarding failed: {error}"

    async def _start(self, letter: str, value: str) -> str:
        kind, parse, _ = _KINDS[letter]
        await self._ports().open(kind, parse(f"-{letter}", value)[0])
        return "Forwarding port."

    async def _cancel(self, letter: str, value: str) -> str:
        kind = _KINDS[letter][0]
        # Of a whole forwarding, the place where it listens counts.
        parse = tunnels.remote if letter == "R" else tunnels.dynamic
        try:
            one = parse(f"-K{letter}", value)[0]
        except ConfigurationError:
            one = _KINDS[letter][1](f"-K{letter}", value)[0]
        await self._ports().close_at(kind, one.listen)
        return "Canceled forwarding."

    def _help(self) -> str:
        rows = [
            *((f"-{letter}{form}", f"Request {kind} forward") for letter, kind, form in _forms()),
            *(
                (f"-K{letter}[bind_address:]port", f"Cancel {kind} forward")
                for letter, kind, _ in _forms()
            ),
            *([("!args", "Execute local command")] if self._local is not None else []),
        ]
        return "\n".join(["Commands:", *(f"      {usage:<39}{text}" for usage, text in rows)])


def _forms() -> list[tuple[str, str, str]]:
    return [(letter, kind, form) for letter, (kind, _, form) in _KINDS.items()]
