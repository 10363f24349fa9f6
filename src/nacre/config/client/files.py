"""The configuration of a client: ssh_config files, and ``-o`` of the command line.

:meth:`Config.load` finds the files, :meth:`Config.lookup` reads them for a host. As in OpenSSH, the
first value of a keyword counts, and some keywords gather all of theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from nacre.config.client.config import ClientConfig
from nacre.config.syntax.reader import ConfigFile

USER_FILE = "~/.ssh/config"
SYSTEM_FILE = "/etc/ssh/ssh_config"


class Config:
    """ssh_config files, read once. :meth:`lookup` returns what they say for a host.

    :param files: the files, in order: the first value of a keyword counts.
    :param options: ``Keyword=Value`` texts that count before them, for every host.
    """

    def __init__(self, files: Iterable[ConfigFile], options: Iterable[str] = ()) -> None:
        self._files = tuple(files)
        self._options = tuple(options)
        self._texts: dict[str, str] = {}

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] | None = None, options: Iterable[str] = ()
    ) -> Config:
        """Return the user's and the system's configuration.

        :param path: a file to read in place of both; ``none`` reads no file.
        :param options: ``Keyword=Value`` texts that count before the files, for every host.
        :raises ConfigurationError: ``path`` can't be read.
        """
        home = os.path.expanduser("~/.ssh")
        if path is None:
            user = os.path.expanduser(USER_FILE)
            return cls(
                (
                    ConfigFile(user, home, private=True),
                    ConfigFile(SYSTEM_FILE, os.path.dirname(SYSTEM_FILE)),
                ),
                options,
            )
        name = os.fspath(path)
        if name.lower() == "none":
            return cls((), options)
        return cls((ConfigFile(name, home, needed=True),), options)

    def lookup(
        self, host: str, options: Iterable[str] = (), *, command: str | None = None
    ) -> ClientConfig:
        """Return the configuration for a host.

        A file that is missing counts as empty. ``Match exec`` runs commands, and
        CanonicalizeHostname looks up names: this call blocks meanwhile.

        :param host: the name as the user gave it.
        :param options: ``Keyword=Value`` texts that count before the files.
        :param command: the command that is to run there, for ``Match command``.
        :raises ConfigurationError: a keyword is unknown, or a value is bad; the message names the
            file and the line.
        """
        options = (*options, *self._options)
        if not options and not any(f.needed or os.path.exists(f.path) for f in self._files):
            return ClientConfig()  # without the schema, which takes a while to load
        from nacre.config.client.reader import ClientReader

        return ClientReader(self._files, self._texts, host, options, command).read()


def parse(options: Iterable[str]) -> ClientConfig:
    """Return the configuration of ``Keyword=Value`` or ``Keyword Value`` texts, in their order.

    No file is read.

    :raises ConfigurationError: a keyword is unknown, or a value is bad.
    """
    return Config(()).lookup("", options)
