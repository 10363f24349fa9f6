"""How sshd_config files are read: every value is parsed at once, those of Match blocks too."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nacre.config import values
from nacre.config.schema import Keyword, Origin, Setting, check_count
from nacre.config.server.config import ServerConfig, fields_of
from nacre.config.server.former import IGNORED_IN_MATCH
from nacre.config.server.rules import (
    BlockValue,
    Connecting,
    MatchBlock,
    ServerRules,
    Test,
    add_setting,
)
from nacre.config.server.words import SCHEMA
from nacre.config.syntax.match import Criterion, in_list, parse_criteria, parse_networks
from nacre.config.syntax.reader import FileReader, parse_value
from nacre.errors import ConfigurationError
from nacre.keys.patterns import match_list
from nacre.wire.text import safe

FOLDER = "/etc/ssh"
"""The directory of relative names of Include."""

_CRITERIA = {
    "all": False,
    "user": True,
    "group": True,
    "host": True,
    "address": True,
    "localaddress": True,
    "localport": True,
    "rdomain": True,
    "version": True,
    "invalid-user": False,
}
"""The criteria of Match, and whether each has an argument."""

_FORMER_IN_MATCH = frozenset(name.lower() for name in IGNORED_IN_MATCH)

OUTSIDE = MatchBlock()
"""The lines outside of Match blocks."""


class ServerReader(FileReader[MatchBlock]):
    """Reads a file and options once. A scope is the block in which a line stands.

    :param defaults: the values of what is not set.
    """

    def __init__(self, defaults: ServerConfig) -> None:
        super().__init__(SCHEMA, {})
        self._defaults = defaults
        self._base: dict[str, list[Setting]] = {}
        self._rows: list[BlockValue] = []

    def read(self, path: str | None, options: Iterable[str]) -> ServerRules:
        """Return what options and then a file say.

        :param path: the file, or None for no file.
        :raises ConfigurationError: a line for each error, with its file and line.
        """
        for text in options:
            self.option(text, OUTSIDE)
        if path is not None:
            try:
                self.file(path, OUTSIDE, FOLDER)
            except OSError as error:
                raise ConfigurationError(
                    f"Can't open the configuration file {safe(path)}: {error.strerror}"
                ) from error
        self.finish()
        settings = {name: tuple(found) for name, found in self._base.items()}
        base = replace_fields(self._defaults, settings)
        check_methods(base)
        check_commands(base)
        return ServerRules(base, self._rows)

    # --- what the file reader asks ---

    def ignores(self, written: str) -> bool:
        return False

    def expand(self, text: str) -> str:
        return text

    def opens(self, word: Keyword, rest: str, origin: Origin, outer: MatchBlock) -> MatchBlock:
        criteria = parse_criteria(rest, _CRITERIA)
        for one in criteria:
            if one.negated:
                raise ConfigurationError(
                    f"Match: !{one.name} is not possible; negate its patterns: "
                    f"{one.name} !PATTERN,*"
                )
        names = tuple(one.name for one in criteria)
        if "all" in names and len(names) > 1:
            raise ConfigurationError("Match: all can't stand beside other criteria")
        tests = tuple(_TESTS[one.name](one) for one in criteria if one.name != "all")
        return MatchBlock((*outer.tests, *tests), (*outer.names, *names))

    def check_former(self, written: str, scope: MatchBlock) -> None:
        if scope.tests and written.lower() not in _FORMER_IN_MATCH:
            raise outside_only(written)

    def take(self, word: Keyword, rest: str, origin: Origin, scope: MatchBlock) -> None:
        if not word.in_match and scope.tests:
            raise outside_only(word.name)
        setting = Setting(parse_value(word, rest), origin)
        if not scope.tests:
            add_setting(self._base, word, setting)
            check_count(word, len(self._base[word.name]))
        if scope is not OUTSIDE and word.in_match:
            self._rows.append(BlockValue(scope, word, setting))


def outside_only(keyword: str) -> ConfigurationError:
    """Return the error for a keyword that can't stand in a Match block."""
    return ConfigurationError(
        f"{safe(keyword, 100)} can't stand in a Match block: move it before the first Match"
    )


def replace_fields(
    defaults: ServerConfig, settings: dict[str, tuple[Setting, ...]]
) -> ServerConfig:
    """Return ``defaults`` with what settings give."""
    from dataclasses import replace

    return replace(defaults, **fields_of(settings), settings=settings)


def check_methods(config: ServerConfig) -> None:
    """Check that a list of AuthenticationMethods can be completed.

    :raises ConfigurationError: each list has a method that is switched off.
    """
    off = set()
    for name, on in (
        ("publickey", config.pubkey_authentication),
        ("password", config.password_authentication),
        ("keyboard-interactive", config.kbd_interactive_authentication),
        ("hostbased", config.hostbased_authentication),
        ("gssapi-with-mic", config.gssapi_authentication),
        ("gssapi-keyex", config.gssapi_authentication and config.gssapi_key_exchange),
    ):
        if not on:
            off.add(name)
    lists = config.authentication_methods
    if lists and all(any(name.partition(":")[0] in off for name in one) for one in lists):
        raise config.settings["AuthenticationMethods"][0].origin.error(
            "AuthenticationMethods: each list has a method that is switched off: nobody could "
            "log in"
        )


def check_commands(config: ServerConfig) -> None:
    """Check that a command has an account to run as.

    :raises ConfigurationError: it has none.
    """
    for name in ("AuthorizedKeysCommand", "AuthorizedPrincipalsCommand"):
        found = config.settings.get(name)
        if found and found[0].value is not None and f"{name}User" not in config.settings:
            raise found[0].origin.error(f"{name}: give {name}User too")


# --- the criteria of Match ---


def _user(criterion: Criterion) -> Test:
    return lambda who: in_list(who.user, criterion.argument)


def _group(criterion: Criterion) -> Test:
    patterns = criterion.argument.split(",")

    def test(who: Connecting) -> bool:
        found = [match_list(name, patterns) for name in who.groups()]
        return True in found and False not in found

    return test


def _host(criterion: Criterion) -> Test:
    return lambda who: in_list(who.host().lower() or None, criterion.argument, lower=True)


def _address(criterion: Criterion) -> Test:
    networks = parse_networks("Match address", criterion.argument)
    return lambda who: who.address in networks


def _local_address(criterion: Criterion) -> Test:
    networks = parse_networks("Match localaddress", criterion.argument)
    return lambda who: who.local_address in networks


def _local_port(criterion: Criterion) -> Test:
    port = values.port("Match localport", criterion.argument)
    return lambda who: who.local_port == port


def _rdomain(criterion: Criterion) -> Test:
    return lambda who: in_list(who.rdomain, criterion.argument)


def _version(criterion: Criterion) -> Test:
    from nacre._version import __version__

    met = in_list(f"nacre_{__version__}", criterion.argument)
    return lambda who: met


def _invalid_user(criterion: Criterion) -> Test:
    return lambda who: who.invalid_user


_TESTS: dict[str, Callable[[Criterion], Test]] = {
    "user": _user,
    "group": _group,
    "host": _host,
    "address": _address,
    "localaddress": _local_address,
    "localport": _local_port,
    "rdomain": _rdomain,
    "version": _version,
    "invalid-user": _invalid_user,
}
