"""``nacre serve --config``: the options of the command line in a file of TOML.

The names in the file are the long names of the options, so what there is to say and which values
are right is told in one place. A name may be split at a hyphen into a table and a key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nacre.limits import MIB
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.config.server.rules import ServerRules

_LARGEST = 1 * MIB
"""Bytes of a file."""

_NOT_IN_FILES = frozenset({"config", "check", "help"})
"""Long names of options that are about one call."""

_RELOADED = frozenset({"option", "sshd-config"})
"""What a reload reads again: what the other names say holds until the server ends."""

_KEPT = "nacre.serve.config"
"""Where a context of click keeps the :class:`OptionsFile`."""


@dataclass(frozen=True, slots=True)
class OptionsFile:
    """A file of options.

    :ivar path: an absolute path.
    :ivar values: what it says, by the long names of options, as click takes it.
    """

    path: Path
    values: Mapping[str, Any]

    @property
    def options(self) -> tuple[str, ...]:
        """The keywords of sshd_config that it has, as ``KEYWORD=VALUE``."""
        return tuple(self.values.get("option", ()))

    def changed(self, now: OptionsFile) -> tuple[str, ...]:
        """Return the names that have other values now, and do not hold before a restart."""
        before, after = self.values, now.values
        return tuple(
            name
            for name in sorted(before.keys() | after.keys())
            if name not in _RELOADED and before.get(name) != after.get(name)
        )


def config_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option ``--config``; other options of the command line win over it."""
    option = click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_on_config,
        help="A file of TOML that says what options say. Its names are the long names of the "
        "options, and options of the command line win. SIGHUP reads it again.",
    )
    decorated: Callable[..., None] = option(function)
    return decorated


def _on_config(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    file = read_config(path.absolute(), context)
    context.meta[_KEPT] = file
    names = dict(_options(context.command))
    found = {}
    for name, value in file.values.items():
        # Keywords of the command line are added to those of the file, and do not replace them.
        if name != "option":
            found[str(names[name].name)] = _default(names[name], value)
    context.default_map = found


def _default(option: click.Option, value: Any) -> Any:
    """Return a value of a file as the default of an option."""
    if option.is_flag and not option.is_bool_flag:
        return option.flag_value if value else None
    return value


def config_file(context: click.Context) -> OptionsFile | None:
    """Return the file of a call, or None."""
    found: OptionsFile | None = context.meta.get(_KEPT)
    return found


def _options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """Return the options that a file may have, by their long names."""
    for option in command.params:
        if isinstance(option, click.Option):
            for name in option.opts:
                if name.startswith("--") and name[2:] not in _NOT_IN_FILES:
                    yield name[2:], option


def read_config(path: Path, context: click.Context) -> OptionsFile:
    """Return what a file says, checked as the command line is.

    :raises UsageError: it can't be read, or is wrong; the message names the line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise click.UsageError(f"can't read {path}: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise click.UsageError(f"{path} has more than {_LARGEST} bytes")
    try:
        text = data.decode()
        told = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is no TOML: {error}") from None
    names, errors = dict(_options(context.command)), []
    values: dict[str, Any] = {}
    said: dict[str, str] = {}
    for name, value in _flat(told, "", names):
        try:
            values[name] = _checked(name, value, names, context)
            other = said.setdefault(str(names[name].name), name)
            if other != name:
                raise click.UsageError(f"{other} and {name} are one setting: give one of them")
        except click.UsageError as error:
            line = _line_of(text, name)
            errors.append(f"{path}{f' line {line}' if line else ''}: {error.message}")
    if errors:
        raise click.UsageError("\n".join(errors))
    return OptionsFile(path, values)


def _flat(
    table: Mapping[str, Any], before: str, names: Mapping[str, click.Option]
) -> Iterator[tuple[str, Any]]:
    """Return names and values, those of tables with the name of the table in front."""
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and not (name in names and _has_words(names[name])):
            yield from _flat(value, f"{name}-", names)
        else:
            yield name, value


def _has_words(option: click.Option) -> bool:
    """Tell whether an option may be repeated with different words: a table of a file has these."""
    return option.multiple and "=" in (option.metavar or "")


def _checked(
    name: str, value: Any, names: Mapping[str, click.Option], context: click.Context
) -> Any:
    """Return a value as click takes it.

    :raises UsageError: there is no such name, or the value is wrong.
    """
    option = names.get(name)
    if option is None:
        near = difflib.get_close_matches(name, names, 1)
        hint = f": do you mean {near[0]}?" if near else ": see `nacre serve --help`"
        raise click.UsageError(f"there is no {safe(name, 64)!r}{hint}")
    given = _typed(name, value, option)
    try:
        option.process_value(context, _default(option, given))
    except click.UsageError as error:
        raise click.UsageError(f"{name}: {error.message}") from None
    return given


def _typed(name: str, value: Any, option: click.Option) -> Any:
    if _has_words(option):
        return _words(name, value)
    if option.multiple:
        return tuple(_scalar(name, one, option) for one in _several(value))
    return _scalar(name, value, option)


def _words(name: str, value: Any) -> tuple[str, ...]:
    """Return a table of words as texts ``WORD=VALUE``."""
    if not isinstance(value, dict):
        return tuple(_text(name, one) for one in _several(value))
    return tuple(
        f"{word}={_text(f'{name}.{word}', one)}"
        for word, many in value.items()
        for one in _several(many)
    )


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(name: str, value: Any) -> str:
    """Return a value of a keyword as sshd_config writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    raise click.UsageError(f"{name} takes texts, numbers, true and false")


def _scalar(name: str, value: Any, option: click.Option) -> Any:
    if option.is_flag:
        wanted, right = "true or false", isinstance(value, bool)
    elif isinstance(option.type, click.IntRange | click.types.IntParamType):
        wanted, right = "a number", type(value) is int
    else:
        wanted, right = "a text", isinstance(value, str)
    if not right:
        raise click.UsageError(f"{name} takes {wanted}, and not {safe(repr(value), 64)}")
    return value


def _line_of(text: str, name: str) -> int | None:
    """Return the line of a name, as far as it is written in one of the usual ways."""
    whole = re.escape(name)
    last = "|".join(re.escape(part) for part in _ends(name))
    for pattern in (rf'\s*["\']?{whole}["\']?\s*=|\s*\[+\s*{whole}\b', rf"\s*({last})\s*="):
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(pattern, line):
                return number
    return None


def _ends(name: str) -> Iterator[str]:
    """Return the keys that a name may have inside of a table."""
    parts = name.split("-")
    for at in range(1, len(parts)):
        yield "-".join(parts[at:])
        yield ".".join(("-".join(parts[:at]), "-".join(parts[at:])))
    yield name


class Rereading:
    """Reads the configuration of a server, again for each reload.

    :param context: that of the call.
    """

    def __init__(self, context: click.Context) -> None:
        said = context.get_parameter_source("file") is ParameterSource.COMMANDLINE
        self._file = context.params["file"] if said else None
        self._context = context
        protocol = context.params["protocol"]
        first = () if protocol is None else (f"Protocol={protocol}",)
        # Those of the file are not among the parameters.
        self._options = (*first, *context.params["options"])
        self._began = self._now = config_file(context)

    def load(self) -> ServerRules:
        """Return what the files said when this call began.

        :raises ConfigurationError: one can't be read, or is wrong.
        """
        from nacre.config.server.files import load

        return load(*self._sources(self._began))

    def _sources(self, config: OptionsFile | None) -> tuple[str | None, tuple[str, ...]]:
        """Return the file of sshd_config, and the keywords that count before it."""
        if config is None:
            return self._file, self._options
        file = self._file or config.values.get("sshd-config")
        return file, (*self._options, *config.options)

    def __call__(self) -> ServerRules:
        """Return what holds from now on.

        :raises ConfigurationError: a file can't be read, or is wrong.
        """
        from nacre.config.server.files import reader_of
        from nacre.errors import ConfigurationError

        try:
            now = None if self._began is None else read_config(self._began.path, self._context)
        except click.UsageError as error:
            raise ConfigurationError(error.message) from None
        rules = reader_of(*self._sources(now))()
        self._now = now
        return rules

    def needs_restart(self) -> tuple[str, ...]:
        """Return the names whose values have changed since the start, and do not hold yet."""
        if self._began is None or self._now is None:
            return ()
        return self._began.changed(self._now)
