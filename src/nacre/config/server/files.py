"""The configuration of a server: an sshd_config file, and ``-o`` of the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from nacre.config.server.config import ServerConfig
from nacre.config.server.reader import ServerReader
from nacre.config.server.rules import ServerRules

NACRE = ServerConfig()
"""The defaults of ``nacre serve``."""


def load(
    path: str | os.PathLike[str] | None,
    options: Iterable[str] = (),
    *,
    defaults: ServerConfig = NACRE,
) -> ServerRules:
    """Return the configuration of options and a file; a value of an option counts first.

    Call :meth:`~nacre.config.server.rules.ServerRules.check` before a server starts with it.

    :param path: the file, or None for no file.
    :param options: ``Keyword=Value`` texts.
    :raises ConfigurationError: the file can't be read, a keyword is unknown, or a value is bad; a
        line for each error names the file and the line.
    """
    name = None if path is None else os.fspath(path)
    return ServerReader(defaults).read(name, options)


def reader_of(
    path: str | os.PathLike[str] | None,
    options: Iterable[str] = (),
    *,
    defaults: ServerConfig = NACRE,
) -> Callable[[], ServerRules]:
    """Return a function that reads the configuration again and checks that a server may have it.

    Its parameters are those of :func:`load`. The function raises ConfigurationError as that does.
    """
    given = tuple(options)
    absolute = None if path is None else os.path.abspath(path)

    def read() -> ServerRules:
        rules = load(absolute, given, defaults=defaults)
        rules.check()
        return rules

    return read


def parse(options: Iterable[str]) -> ServerConfig:
    """Return the configuration of ``Keyword=Value`` texts, in their order.

    :raises ConfigurationError: a keyword is unknown, a value is bad, or asks for what a server
        can't do.
    """
    rules = load(None, options)
    rules.check()
    return rules.base
