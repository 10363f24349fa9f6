"""Where the log of a server goes to, and in which form."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nacre.daemon.log.form import Form
from nacre.daemon.log.journal import SystemJournal
from nacre.daemon.log.server_log import LogDestination, StandardError
from nacre.daemon.log.syslog import Syslog
from nacre.errors import StateError

Where: TypeAlias = Literal["stderr", "syslog", "journal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlace:
    """Where the log goes to.

    :ivar program: the name of the program in the log of the system.
    :ivar file: what standard error is appended to; None for what it is.
    """

    where: Where = "stderr"
    form: Form = "text"
    program: str = "nacre"
    file: str | None = None

    @property
    def apart(self) -> bool:
        """Whether nothing of it goes to standard error."""
        return self.where != "stderr"

    @property
    def plain(self) -> bool:
        """Whether other lines of text may be among its own."""
        return not self.apart and self.form == "text"

    def destination(self, facility: str) -> LogDestination:
        """Return what writes the lines.

        :param facility: as SyslogFacility names it.
        """
        if self.where == "syslog":
            return Syslog(facility, self.program, self.form)
        if self.where == "journal":
            return SystemJournal(self.program)
        return StandardError(self.form)

    def open(self) -> None:
        """Have standard error append to the file, which is made with mode 0600 if it is missing.

        Call it again when the file was renamed: logrotate(8).

        :raises StateError: the file can't be opened.
        """
        if self.file is None:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(self.file, flags, 0o600)
        except OSError as error:
            raise StateError(f"can't open the log file {self.file}: {error.strerror}") from error
        os.dup2(descriptor, 2)
        os.close(descriptor)


ON_STANDARD_ERROR = LogPlace()
"""The log of a program that was told nothing else."""
