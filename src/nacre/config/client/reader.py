"""One reading of ssh_config files for a host: which blocks apply, and what is set.

The files are read twice if ``Match final`` or CanonicalizeHostname ask for it. The values of the
first time stay: the first value counts.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable
from typing import Any

from nacre.config.client.config import ClientConfig, fields_of
from nacre.config.client.words import SCHEMA
from nacre.config.schema import COMMAND_LINE, Keyword, Origin, Setting, check_count
from nacre.config.syntax.match import Criterion, in_list, meets, parse_criteria
from nacre.config.syntax.reader import ConfigFile, FileReader, needed, parse_value
from nacre.config.syntax.tokens import expand
from nacre.errors import ConfigurationError
from nacre.keys.patterns import match_list
from nacre.wire.text import safe

_CRITERIA = {
    "all": False,
    "canonical": False,
    "final": False,
    "exec": True,
    "localnetwork": True,
    "host": True,
    "originalhost": True,
    "tagged": True,
    "command": True,
    "user": True,
    "localuser": True,
    "version": True,
    "sessiontype": True,
}
"""The criteria of Match, and whether each has an argument."""

_EXEC_TIME = 20.0
"""Seconds that a command of ``Match exec`` may take."""

_CANONICAL = frozenset(["CanonicalizeHostname", "CanonicalizeMaxDots", "CanonicalizeFallbackLocal"])

_PLAIN = {
    name: word.kind.plain
    for name, word in SCHEMA.by_lower.items()
    if word.kind.plain and not word.everywhere
}
"""Tests of words that are good values, by the keyword in lower case."""


class ClientReader(FileReader[bool]):
    """Reads the files for one host. A scope is whether the block applies.

    :param texts: the texts of files that were read before, by name.
    """

    included_private = True

    # _original  the host as the user gave it; _host: the canonical one, in the second reading.
    # _final     whether this is the second reading; _again: whether one is wanted.

    def __init__(
        self,
        files: Iterable[ConfigFile],
        texts: dict[str, str],
        host: str,
        options: Iterable[str],
        command: str | None,
    ) -> None:
        super().__init__(SCHEMA, texts)
        self._files = tuple(files)
        self._options = tuple(options)
        self._original = self._host = host
        self._command = command
        self._final = self._again = False
        self._closed: frozenset[str] = frozenset()
        self._found: dict[str, list[Setting]] = {}

    def read(self) -> ClientConfig:
        """Return the configuration.

        :raises ConfigurationError: a line for each error, with its file and line.
        """
        for text in self._options:
            self.option(text, True)
        self._read_files()
        wanted = self.value("CanonicalizeHostname") in ("yes", "always")
        if wanted:
            from nacre.config.client.canonical import canonical

            self._host = canonical(self.host_name.lower(), self.value)
        if wanted or self._again:
            name = self._host = self._host if wanted else self.host_name.lower()
            origin = self._found["Hostname"][0].origin if "Hostname" in self._found else Origin()
            self._found["Hostname"] = [Setting(name.replace("%", "%%"), origin)]
            self._final = True
            self._closed = _CANONICAL - self._found.keys()
            self._read_files()
        name = self.host_name  # an error in it has to name its line
        if "ProxyJump" in self._found:
            self._check_jump(name, self._found["ProxyJump"][0])
        settings = {name: tuple(found) for name, found in self._found.items()}
        return ClientConfig(**fields_of(settings), settings=settings)

    def _check_jump(self, name: str, setting: Setting) -> None:
        """Check that the way does not lead through the destination itself."""
        from nacre.config.destination import parse_jumps

        if setting.value == "none":
            return
        last = parse_jumps("ProxyJump", setting.value)[-1]
        here = (name.lower(), self.value("Port") or 22, self._user)
        if (last.host.lower(), last.port or 22, last.user or self._user) == here:
            raise setting.origin.error(
                f"ProxyJump: {safe(last.host)} is the destination itself: set ProxyJump none for it"
            )

    @property
    def _user(self) -> str:
        return self.value("User") or getpass.getuser()

    def _read_files(self) -> None:
        for file in self._files:
            try:
                self.file(file.path, True, file.base, private=file.private)
            except FileNotFoundError:
                if file.needed:
                    raise ConfigurationError(
                        f"Can't open the configuration file {safe(file.path)}: "
                        "No such file or directory"
                    ) from None
            except OSError as error:
                if file.needed:
                    raise ConfigurationError(
                        f"Can't open the configuration file {safe(file.path)}: {error.strerror}"
                    ) from error
            self.finish()
        self.finish()

    def value(self, name: str) -> Any:
        """Return the first value of a keyword, or None."""
        found = self._found.get(name)
        return found[0].value if found else None

    @property
    def host_name(self) -> str:
        """The name to connect to, as far as the files were read."""
        found = self._found.get("Hostname")
        if not found:
            return self._original
        try:
            return expand(found[0].value, {"h": self._original})
        except ConfigurationError as error:
            raise found[0].origin.error(f"Hostname: {error}") from None

    # --- what the reader asks ---

    def ignores(self, written: str) -> bool:
        patterns = self.value("IgnoreUnknown")
        return patterns is not None and in_list(written, patterns, lower=True)

    def expand(self, text: str) -> str:
        return expand(text, self._tokens(), os.environ)

    def skip(self, lines: list[str], at: int, scope: bool) -> int:
        # A configuration of hundreds of hosts has thousands of lines in blocks that don't apply.
        count = len(lines)
        while not scope and at < count:
            words = lines[at].split()
            if words:
                if len(words) != 2 or (good := _PLAIN.get(words[0].lower())) is None:
                    break
                if not good(words[1]):
                    break
            at += 1
        return at

    def take(self, word: Keyword, rest: str, origin: Origin, scope: bool) -> None:
        value = parse_value(word, rest)
        if not (scope or word.everywhere) or self._excluded(word.name):
            return
        found = self._found.setdefault(word.name, [])
        if word.last:
            found.clear()
        if not found or word.repeats or (word.gathers and all(value != one.value for one in found)):
            found.append(Setting(value, origin))
            check_count(word, len(found))
        elif word.name == "RekeyLimit":  # the size and the time may come from two places
            found[0] = Setting(found[0].value.completed(value), found[0].origin)
        elif word.name == "ForwardAgent" and found[0].value == "SSH_AUTH_SOCK" and value:
            found[0] = Setting(value, origin)  # so may yes, and the path of a socket

    def _excluded(self, name: str) -> bool:
        """Return whether a keyword counts no more.

        Of ProxyJump and ProxyCommand the first does. What rules the search for canonical names does
        not after it.
        """
        if name in self._closed:
            return True
        if name == "ProxyCommand":
            return self.value("ProxyJump") not in (None, "none")
        return name == "ProxyJump" and "ProxyCommand" in self._found

    def opens(self, word: Keyword, rest: str, origin: Origin, outer: bool) -> bool:
        if word.name == "Match":
            criteria = parse_criteria(rest, _CRITERIA)
            self._again = self._again or any(one.name == "final" for one in criteria)
            return outer and meets(criteria, lambda one: self._meets(one, origin))
        patterns = needed("Host", rest)
        if not all(patterns):
            raise ConfigurationError("Host: a pattern is empty")
        return outer and match_list(self._host, patterns) is True

    def _meets(self, criterion: Criterion, origin: Origin) -> bool:
        argument = criterion.argument
        match criterion.name:
            case "all":
                return True
            case "canonical" | "final":
                return self._final
            case "exec":
                return self._succeeds(argument)
            case "localnetwork":
                from nacre.config.client.canonical import local_addresses
                from nacre.config.syntax.match import check_networks, in_networks

                check_networks(argument)
                return any(in_networks(address, argument) for address in local_addresses())
            case "host":
                return in_list(self.host_name.lower(), argument, lower=True)
            case "originalhost":
                return in_list(self._original.lower(), argument, lower=True)
            case name:
                return in_list(self._fact(name), argument)

    def _fact(self, name: str) -> str | None:
        if name == "tagged":
            return self.value("Tag") or ""
        if name == "user":
            return self._user
        if name == "localuser":
            return getpass.getuser()
        if name == "version":
            from nacre._version import __version__

            return f"nacre_{__version__}"
        if name == "command":
            return self._command or ""
        kinds = {"none": "none", "subsystem": "subsystem"}
        kind = kinds.get(str(self.value("SessionType")))
        return kind or ("shell" if self._command is None else "exec")

    def _succeeds(self, command: str) -> bool:
        """Return whether a command of ``Match exec`` ends with status 0.

        It gets the variables of this program, and neither its input nor its output.
        """
        import subprocess  # asyncio loads it too, but -G does without

        text = expand(command, self._tokens())
        if text != command:
            self._check_for_shell()
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            done = subprocess.run(
                [shell, "-c", text],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                timeout=_EXEC_TIME,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ConfigurationError(
                f"Match exec: {safe(text, 200)!r} did not end within {_EXEC_TIME:g} seconds"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"Match exec: can't run {safe(shell)}: {error.strerror}"
            ) from error
        return done.returncode == 0

    def _check_for_shell(self) -> None:
        """Check the names that whoever started the connection has given."""
        from nacre.config.destination import check_for_shell

        user = self._found.get("User")
        given = user is not None and user[0].origin == COMMAND_LINE
        check_for_shell((self._original, self.host_name), self._user if given else None)

    def _tokens(self) -> dict[str, str]:
        from nacre.config.syntax.tokens import host_tokens

        return host_tokens(
            host=self.host_name,
            original=self._original,
            port=str(self.value("Port") or 22),
            user=self._user,
            alias=self.value("HostKeyAlias"),
            jump=self.value("ProxyJump"),
        )
