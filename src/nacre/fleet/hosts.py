"""The hosts of a run, and where their names come from.

A text names hosts by node sets (``web[01-50]``), with a user and a port (``alice@web1:2222``), and
by groups (``@db``). Groups are those of inventories and of files of groups; ``@all`` is every host
that one of them names.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from nacre.config.client.files import SYSTEM_FILE, USER_FILE
from nacre.config.destination import parse
from nacre.config.syntax.lexer import words
from nacre.errors import ConfigurationError
from nacre.fleet import nodesets
from nacre.value import replace, value
from nacre.wire.text import safe

ALL = "all"
"""The group of every host that a source names."""

LARGEST = 16 << 20
"""Bytes of a file of hosts, groups or an inventory."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_PLACE = re.compile(r"%(?:%|\{(\w+)\})")


@value
class FleetHost:
    """A host of a run.

    :ivar name: what it is called in results, unique in a run.
    :ivar address: the name or address to connect to; a ``Host`` of ssh_config counts.
    :ivar port: its port, or None for that of ssh_config, or 22; ``user`` is that for the user.
    :ivar variables: texts that commands and paths may have as ``%{name}``.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    variables: Mapping[str, str] = _NOTHING

    @classmethod
    def of(cls, text: str) -> FleetHost:
        """Return the host that is written ``[user@]host[:port]``.

        :raises ConfigurationError: it has another form, or the name is not possible.
        """
        found = parse("hosts", text)
        return cls(text, found.host, found.port, found.user)

    def fill(self, text: str, form: Callable[[str], str] = shlex.quote) -> str:
        """Return a text with this host's variables in place of ``%{name}``; ``%%`` is ``%``.

        Where no ``%{`` is in it, a text stays as it is. ``host`` and ``address`` are variables of
        every host.

        :param form: makes a value a part of the text; by default it is quoted for a shell.
        :raises ConfigurationError: the host has no such variable.
        """
        if "%{" not in text:
            return text

        def found(match: re.Match[str]) -> str:
            if match[1] is None:
                return "%"
            try:
                return form(self._all()[match[1]])
            except KeyError:
                raise ConfigurationError(
                    f"{safe(self.name)} has no variable {match[1]}: give it one in the inventory, "
                    "or write %%{ for a %{ that stands for itself"
                ) from None

        return _PLACE.sub(found, text)

    def _all(self) -> dict[str, str]:
        return {"host": self.name, "address": self.address, **self.variables}


def host_object(host: FleetHost) -> dict[str, Any]:
    """Return a host as values of JSON, of which ``FleetHost(**values)`` makes it again."""
    return {
        name: dict(host.variables) if name == "variables" else getattr(host, name)
        for name in FleetHost.__match_args__
    }


Groups: TypeAlias = Mapping[str, tuple[str, ...]]
"""The names of the hosts of each group."""


@value
class Inventory:
    """What a source says: hosts, with what is known of them, and groups of their names."""

    hosts: Mapping[str, FleetHost]
    groups: Groups


class FleetSources:
    """The sources of a run, in which texts look hosts up.

    :param inventories: what files of inventories and groups say; the first that knows a host
        counts, and groups of one name are joined.
    """

    def __init__(self, inventories: Iterable[Inventory] = ()) -> None:
        self._hosts: dict[str, FleetHost] = {}
        self._groups: dict[str, dict[str, None]] = {}
        for one in inventories:
            self._hosts = {**one.hosts, **self._hosts}
            for group, names in one.groups.items():
                self._groups.setdefault(group, {}).update(dict.fromkeys(names))

    def names(self, text: str, inside: tuple[str, ...] = ()) -> list[str]:
        """Return the names that a text stands for, each once, in its order.

        :param inside: the groups that the text is part of.
        :raises ConfigurationError: a group is unknown, or has itself as a part.
        """
        found: dict[str, None] = {}
        for part in nodesets.split(text):
            group = part[1:] if part.startswith("@") else None
            names = nodesets.expand(part) if group is None else self._members(group, inside)
            found.update(dict.fromkeys(names))
        return list(found)

    def _members(self, pattern: str, inside: tuple[str, ...]) -> list[str]:
        if pattern in inside:
            raise ConfigurationError(f"the group {safe(pattern)} has itself as a part")
        if pattern == ALL and ALL not in self._groups:
            members = [name for group in self._groups for name in self._members(group, inside)]
            return list(dict.fromkeys((*self._hosts, *members)))
        groups = [name for name in self._groups if fnmatchcase(name, pattern)]
        if not groups:
            known = ", ".join(sorted(self._groups)) or "none: name a file with --inventory"
            raise ConfigurationError(
                f"there is no group {safe(pattern, 100)}; groups: {safe(known, 500)}"
            )
        found: dict[str, None] = {}
        for group in groups:
            for member in self._groups[group]:
                found.update(dict.fromkeys(self.names(member, (*inside, group))))
        return list(found)

    def select(self, texts: Iterable[str], exclude: Iterable[str] = ()) -> list[FleetHost]:
        """Return the hosts that texts name, without those that others name.

        :raises ConfigurationError: a text is no text of hosts, or there are too many hosts.
        """
        left_out = {name for text in exclude for name in self.names(text)}
        names = dict.fromkeys(name for text in texts for name in self.names(text))
        if len(names) > nodesets.MOST:
            raise ConfigurationError(f"{len(names):,} hosts: give at most {nodesets.MOST:,}")
        return [self._host(name) for name in names if name not in left_out]

    def _host(self, name: str) -> FleetHost:
        if (known := self._hosts.get(name)) is not None:
            return known
        host = FleetHost.of(name)
        # Of a host of an inventory, who is given here counts first.
        if (known := self._hosts.get(host.address)) is not None:
            port, user = host.port or known.port, host.user or known.user
            return replace(known, name=name, port=port, user=user)
        return host


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file of hosts.

    :raises ConfigurationError: it can't be read, is no text, or is too large.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ConfigurationError(f"{path}: it has more than {LARGEST >> 20} MiB")
        return data.decode()
    except OSError as error:
        raise ConfigurationError(f"can't read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: it is no text in UTF-8") from error


def _lines(text: str) -> list[str]:
    """Return the lines without comments, and without empty ones."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def read_names(path: str | os.PathLike[str]) -> str:
    """Return the text of hosts that a file has: a node set or a group on each line."""
    return ",".join(_lines(read_text(path)))


def read_groups(path: str | os.PathLike[str]) -> Inventory:
    """Return the groups of a file with lines ``NAME: NODESET``, as ClusterShell's local.cfg.

    :raises ConfigurationError: a line has another form.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        for kept in _lines(line):
            name, colon, members = kept.partition(":")
            if not colon or not name.strip() or name.split() != [name.strip()]:
                raise ConfigurationError(
                    f"{path} line {number}: it is no group: write NAME: web[01-50]"
                )
            groups[name.strip()] = (*groups.get(name.strip(), ()), members.strip())
    return Inventory(_NOTHING_KNOWN, groups)


_NOTHING_KNOWN: Mapping[str, Any] = MappingProxyType({})


def config_names(pattern: str, paths: Iterable[str] = (USER_FILE, SYSTEM_FILE)) -> list[str]:
    """Return the names in ``Host`` lines of ssh_config that match a pattern, without wildcards.

    A file that is missing has none, and included files are not read.
    """
    found: dict[str, None] = {}
    for path in map(Path, map(os.path.expanduser, paths)):
        if not path.exists():
            continue
        for line in _lines(read_text(path)):
            keyword, _, rest = line.replace("=", " ", 1).partition(" ")
            if keyword.lower() == "host":
                names = (one for one in words(rest) if not set("*?!") & set(one))
                found.update(dict.fromkeys(one for one in names if fnmatchcase(one, pattern)))
    return list(found)
