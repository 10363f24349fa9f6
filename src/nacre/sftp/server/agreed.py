"""A session's filesystem, and what it does with it in the version of SFTP that was agreed on."""

from __future__ import annotations

from collections.abc import Callable

from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.protocol.server import Call
from nacre.sftp.protocol.versions import THIRD, Version
from nacre.sftp.server.calls import BASIC, Operations
from nacre.value import replace


class Agreed:
    """Chooses the operations when the version is known; until then they are those of version 3.

    :param before: called before each operation, or None; it may raise OSError.
    """

    __slots__ = ("_before", "filesystem", "operations")

    def __init__(
        self, filesystem: Filesystem, before: Callable[[Call], None] | None = None
    ) -> None:
        self.filesystem = filesystem
        self._before = before
        self.operations: Operations = self._checked(BASIC)

    def on(self, version: Version) -> None:
        """Go on with what a version does, and tell the filesystem of it."""
        self.filesystem.speak(version.number)
        self.operations = self._checked(_operations(version))

    def _checked(self, operations: Operations) -> Operations:
        return operations if self._before is None else replace(operations, before=self._before)


def _operations(version: Version) -> Operations:
    if version is THIRD:
        return BASIC
    from nacre.sftp.server.later import LATER

    return LATER
