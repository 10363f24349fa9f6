"""Inventories of Ansible, in INI and in YAML: hosts with variables, groups, groups of groups.

Of the variables that tell how to connect, ``ansible_host``, ``ansible_port`` and ``ansible_user``
count; the others are for commands.
"""

from __future__ import annotations

import os
import re
import shlex
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nacre.errors import ConfigurationError
from nacre.fleet.hosts import ALL, FleetHost, Inventory, read_text
from nacre.fleet.nodesets import MOST
from nacre.protocol.tcpip import check_port

_YAML = (".yml", ".yaml", ".json")
_RANGE = re.compile(r"\[(\w+):(\w+)(?::(\d+))?\]")
_SECTION = re.compile(r"\[([^\[\]:]+)(?::(children|vars|hosts))?\]")
_DEEPEST = 32
"""Groups within each other."""


class _Gathered:
    """A group while an inventory is read: hosts and groups in it, and its variables."""

    def __init__(self) -> None:
        self.hosts: dict[str, None] = {}
        self.children: dict[str, None] = {}
        self.variables: dict[str, str] = {}


class InventoryBuilder:
    """Collects what a file says, and resolves it at the end.

    :param path: the file, for messages.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._groups: dict[str, _Gathered] = {ALL: _Gathered()}
        self._hosts: dict[str, dict[str, str]] = {}

    def group(self, name: str) -> _Gathered:
        """Return a group, which is made if it is new."""
        return self._groups.setdefault(name, _Gathered())

    def add_hosts(self, group: str, pattern: str, variables: Mapping[str, str]) -> None:
        """Add the hosts of a pattern to a group."""
        for name in ranges(pattern):
            self._hosts.setdefault(name, {}).update(variables)
            self.group(group).hosts[name] = None
            if len(self._hosts) > MOST:
                raise self.wrong(f"it has more than {MOST:,} hosts")

    def wrong(self, what: str, line: int | None = None) -> ConfigurationError:
        """Return the error that says what is wrong."""
        where = f" line {line}" if line is not None else ""
        return ConfigurationError(f"{self._path}{where}: {what}")

    def build(self) -> Inventory:
        """Return what the file says, with the variables of each host's groups.

        Those of the host count before those of a group, and these before those of a group that
        the group is in.
        """
        depths = dict.fromkeys(self._groups, 0)
        for name in self._groups:
            self._descend(name, 0, depths)
        depths[ALL] = -1
        members = {name: self._members(name) for name in self._groups}
        members[ALL] = dict.fromkeys(self._hosts)
        given: dict[str, dict[str, str]] = {name: {} for name in self._hosts}
        for name in sorted(self._groups, key=lambda one: (depths[one], one)):
            for host in members[name]:
                given[host].update(self._groups[name].variables)
        hosts = {
            name: self._host(name, {**given[name], **own}) for name, own in self._hosts.items()
        }
        return Inventory(hosts, {name: tuple(found) for name, found in members.items()})

    def _descend(self, name: str, depth: int, depths: dict[str, int]) -> None:
        if depth > _DEEPEST:
            raise self.wrong(f"the group {name} has itself as a part, or is {_DEEPEST} groups deep")
        depths[name] = max(depths[name], depth)
        for child in self._groups[name].children:
            if child not in self._groups:
                raise self.wrong(f"the group {name} has a child {child}, which is not defined")
            self._descend(child, depth + 1, depths)

    def _members(self, name: str) -> dict[str, None]:
        group = self._groups[name]
        found = dict(group.hosts)
        for child in group.children:
            found.update(self._members(child))
        return found

    def _host(self, name: str, variables: dict[str, str]) -> FleetHost:
        port = variables.pop("ansible_port", None) or variables.pop("ansible_ssh_port", None)
        try:
            number = None if port is None else int(port)
            if number is not None:
                check_port("ansible_port", number)
        except ValueError as error:
            raise self.wrong(f"ansible_port of {name}: {port!r} is no number") from error
        address = variables.pop("ansible_host", None) or variables.pop("ansible_ssh_host", None)
        user = variables.pop("ansible_user", None) or variables.pop("ansible_ssh_user", None)
        return FleetHost(name, address or name, number, user, variables)


def read_inventory(path: str | os.PathLike[str]) -> Inventory:
    """Return what an inventory says; the end of its name tells YAML from INI.

    :raises ConfigurationError: it can't be read, or a part of it can't be understood.
    """
    builder = InventoryBuilder(path)
    text = read_text(path)
    (_read_yaml if Path(path).suffix in _YAML else _read_ini)(builder, text)
    return builder.build()


def ranges(pattern: str) -> Iterator[str]:
    """Return the names of a pattern such as ``web[01:50].lan`` or ``db-[a:c]``."""
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern
        return
    before, after = pattern[: found.start()], pattern[found.end() :]
    for one in _steps(pattern, *found.groups()):
        for rest in ranges(after):
            yield f"{before}{one}{rest}"


def _steps(pattern: str, first: str, last: str, step: str | None) -> Iterator[str]:
    stride = int(step or 1)
    if first.isdigit() and last.isdigit() and stride and len(first) < 19:
        if (int(last) - int(first)) // stride >= MOST:
            raise ConfigurationError(f"{pattern} stands for more than {MOST:,} hosts")
        width = len(first)
        yield from (f"{n:0{width}}" for n in range(int(first), int(last) + 1, stride))
        return
    letters = string.ascii_letters
    if stride and len(first) == len(last) == 1 and first in letters and last in letters:
        yield from letters[letters.index(first) : letters.index(last) + 1 : stride]
        return
    raise ConfigurationError(f"{pattern} is no range: write for example web[01:50] or db-[a:c]")


# --- INI ---


def _read_ini(builder: InventoryBuilder, text: str) -> None:
    group, kind = "ungrouped", "hosts"
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if (section := _SECTION.fullmatch(line.partition(" #")[0].strip())) is not None:
            group, kind = section[1].strip(), section[2] or "hosts"
            builder.group(group)
            continue
        try:
            _ENTRIES[kind](builder, group, line)
        except ValueError as error:
            raise builder.wrong(str(error), number) from error


def _ini_host(builder: InventoryBuilder, group: str, line: str) -> None:
    pattern, *given = shlex.split(line, comments=True)
    builder.add_hosts(group, pattern, dict(map(_pair, given)))


def _ini_child(builder: InventoryBuilder, group: str, line: str) -> None:
    builder.group(group).children[line.partition(" #")[0].strip()] = None


def _ini_variable(builder: InventoryBuilder, group: str, line: str) -> None:
    name, text = _pair(line)
    (found, *_) = shlex.split(text, comments=True) or [""]
    builder.group(group).variables[name.strip()] = found


_ENTRIES = {"hosts": _ini_host, "children": _ini_child, "vars": _ini_variable}


def _pair(text: str) -> tuple[str, str]:
    name, equals, found = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text!r} is no variable: write NAME=VALUE")
    return name, found.strip()


# --- YAML ---


def _read_yaml(builder: InventoryBuilder, text: str) -> None:
    import yaml

    try:
        top = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise builder.wrong(f"it is no YAML: {error}") from error
    for name, group in _mapping(builder, top, "it").items():
        _yaml_group(builder, str(name), group, 0)


def _yaml_group(builder: InventoryBuilder, name: str, given: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise builder.wrong(f"the group {name} is more than {_DEEPEST} groups deep")
    group, found = builder.group(name), _mapping(builder, given, f"the group {name}")
    if unknown := set(found) - {"hosts", "vars", "children"}:
        raise builder.wrong(f"the group {name} has {', '.join(map(str, sorted(unknown)))}")
    group.variables.update(_texts(builder, found.get("vars"), f"vars of {name}"))
    for pattern, variables in _mapping(builder, found.get("hosts"), f"hosts of {name}").items():
        builder.add_hosts(name, str(pattern), _texts(builder, variables, str(pattern)))
    children = _mapping(builder, found.get("children"), f"children of {name}")
    for child, inner in children.items():
        group.children[str(child)] = None
        _yaml_group(builder, str(child), inner, depth + 1)


def _mapping(builder: InventoryBuilder, found: Any, what: str) -> dict[Any, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise builder.wrong(f"{what} should be a mapping")
    return found


def _texts(builder: InventoryBuilder, found: Any, what: str) -> dict[str, str]:
    """Return variables as texts; those that are lists or mappings are left out."""
    plain = _mapping(builder, found, what)
    return {str(k): str(v) for k, v in plain.items() if isinstance(v, str | int | float)}
