"""The configuration of a server for one user's connection: what Match blocks change."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from nacre.config.kinds import ALGORITHM_KINDS
from nacre.config.schema import Keyword, Setting, Support
from nacre.config.server.config import ServerConfig, fields_of
from nacre.config.server.words import SCHEMA
from nacre.config.values import LogLevel, own_algorithms
from nacre.errors import ConfigurationError
from nacre.protocol.options import Profile, choose
from nacre.value import value
from nacre.wire.text import safe

_MOST_KEPT = 1024

_ACCEPTED = ("PubkeyAcceptedAlgorithms", "CASignatureAlgorithms")


@value(kw_only=True)
class Connecting:
    """Who connects, from where and to where: what ``Match`` of sshd_config(5) asks for.

    :ivar user: the name that is logging in, or None before it is known.
    :ivar invalid_user: whether there is no such user.
    :ivar groups: the names of the user's groups; called only if a criterion asks.
    :ivar address: the client's address; ``host``: its name, called only if a criterion asks.
    :ivar rdomain: the routing domain of the connection, or None.
    """

    user: str | None = None
    invalid_user: bool = False
    groups: Callable[[], tuple[str, ...]] = tuple
    address: str = ""
    host: Callable[[], str] = str
    local_address: str = ""
    local_port: int = 0
    rdomain: str | None = None


Test: TypeAlias = Callable[[Connecting], bool]
"""A criterion of Match: returns whether a connection meets it."""


@value(eq=False)
class MatchBlock:
    """The lines that hold where all tests are met.

    :ivar tests: those of its Match line, and of the blocks around it; none means everywhere.
    :ivar names: the names of the criteria.
    """

    tests: tuple[Test, ...] = ()
    names: tuple[str, ...] = ()

    def holds(self, who: Connecting) -> bool:
        """Return whether it holds for a connection."""
        return all(test(who) for test in self.tests)


@value
class BlockValue:
    """A value of a Match block."""

    block: MatchBlock
    word: Keyword
    setting: Setting


class ServerRules:
    """A server's configuration, with its Match blocks.

    :param rows: the values of Match blocks, in the order of the files.
    :ivar base: what holds outside of Match blocks, for the server and before a user is known.
    """

    def __init__(self, base: ServerConfig, rows: Sequence[BlockValue] = ()) -> None:
        self.base = base
        self._rows = tuple(rows)
        self._blocks = tuple({row.block: None for row in self._rows})
        self._found: dict[tuple[bool, ...], ServerConfig] = {}

    def changed(self, **fields: Any) -> ServerRules:
        """Return these rules with other values of fields of the base."""
        return ServerRules(dataclasses.replace(self.base, **fields), self._rows)

    @property
    def criteria(self) -> frozenset[str]:
        """The names of all criteria."""
        return frozenset(name for block in self._blocks for name in block.names)

    @property
    def varies(self) -> bool:
        """Whether users may differ in the algorithms of their keys' signatures."""
        return any(row.word.name in _ACCEPTED for row in self._rows)

    def signatures(self, profile: Profile) -> tuple[str, ...]:
        """Return the algorithms of signatures that a user may have; who it is is not known yet."""
        configs = [self.base]
        for row in self._rows:
            if row.word.name == _ACCEPTED[0]:
                changed = {row.word.field: row.setting.value}
                configs.append(dataclasses.replace(self.base, **changed))
        found = (name for config in configs for name in config.accepted(profile)[0])
        return tuple(dict.fromkeys(found))

    def lookup(self, who: Connecting) -> ServerConfig:
        """Return the configuration for a connection.

        The first value of the blocks that hold wins over the one outside of blocks. Values of
        keywords that gather add up among blocks, and replace those outside. It reads no file.
        """
        if not self._rows:
            return self.base
        held = tuple(block.holds(who) for block in self._blocks)
        found = self._found.get(held)
        if found is None:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            found = self._found[held] = self._merged(dict(zip(self._blocks, held, strict=True)))
        return found

    def _merged(self, held: dict[MatchBlock, bool]) -> ServerConfig:
        settings: dict[str, list[Setting]] = {}
        for row in self._rows:
            if held[row.block]:
                add_setting(settings, row.word, row.setting)
        if not settings:
            return self.base
        if "RekeyLimit" in settings:  # its two values count for themselves
            settings["RekeyLimit"].extend(self.base.settings.get("RekeyLimit", ()))
        changed = {name: tuple(values) for name, values in settings.items()}
        return dataclasses.replace(
            self.base, **fields_of(changed), settings={**self.base.settings, **changed}
        )

    def check(self) -> None:
        """Check that a server may start with this configuration.

        :raises ConfigurationError: a line for each value that asks for a protection that nacre
            lacks, or that lets nobody log in.
        """
        errors = [
            *self._unhonoured(Support.REFUSED),
            *self._lacking(),
            *self._negated(),
            *self._shut(),
        ]
        if errors:
            raise ConfigurationError("\n".join(errors))

    def described(self) -> Iterator[tuple[LogLevel, str]]:
        """Yield what to log of keywords without effect, with its level."""
        if texts := list(self._unhonoured(Support.NO_EFFECT)):
            yield LogLevel.VERBOSE, f"Without effect: {'; '.join(texts)}"

    def values(self) -> Iterator[tuple[Keyword, Setting]]:
        """Yield every value that may count, with its keyword."""
        for name, values in self.base.settings.items():
            for setting in values:
                yield SCHEMA[name], setting
        for row in self._rows:
            yield row.word, row.setting

    def _unhonoured(self, support: Support) -> Iterator[str]:
        told = set()
        for word, setting in self.values():
            shown = word.kind.show(setting.value) if word.support is support else None
            idle = word.harmless or ("no", "none", word.default)
            if shown and shown not in idle and setting not in told:
                told.add(setting)
                yield f"{setting.origin}: {word.name}: {word.why}"

    def _lacking(self) -> Iterator[str]:
        for word, setting in self.values():
            kind = ALGORITHM_KINDS.get(word.name)
            if kind is not None and word.support is Support.HONOURED:
                try:
                    choose(kind, own_algorithms(kind, setting.value))
                except ConfigurationError as error:
                    yield str(setting.origin.error(f"{word.name}: {error}"))

    def _negated(self) -> Iterator[str]:
        for word, setting in self.values():
            if word.name in ("AllowUsers", "DenyUsers", "AllowGroups", "DenyGroups"):
                for pattern in setting.value:
                    if pattern.startswith("!"):
                        yield str(
                            setting.origin.error(
                                f"{word.name}: bad value {safe(pattern, 100)!r}; allowed: patterns "
                                "without !; DenyUsers and DenyGroups exclude"
                            )
                        )

    def _shut(self) -> Iterator[str]:
        methods = (
            "PubkeyAuthentication",
            "PasswordAuthentication",
            "KbdInteractiveAuthentication",
            "HostbasedAuthentication",
        )
        config = self.base
        if config.max_auth_tries == 0:
            yield f"{self._place('MaxAuthTries')}MaxAuthTries: bad value 0: nobody could log in"
        if any(row.word.name in methods for row in self._rows):
            return
        if not any(getattr(config, SCHEMA[name].field) for name in methods):
            yield (
                f"{self._place(methods[0])}{', '.join(methods[:-1])} and {methods[-1]} are "
                "all no: nobody could log in; leave one of them on"
            )

    def _place(self, name: str) -> str:
        origin = self.base.settings[name][0].origin if name in self.base.settings else None
        return f"{origin}: " if origin is not None and origin.file else ""


def add_setting(settings: dict[str, list[Setting]], word: Keyword, setting: Setting) -> None:
    """Add a value where it counts: as the first or the last one, or as one of those gathered."""
    found = settings.setdefault(word.name, [])
    if word.last:
        found.clear()
    if word.name == "StreamLocalBindMask":  # as in sshd: its last value counts
        found.clear()
    if not found or word.gathers or word.name == "RekeyLimit":
        found.append(setting)
