"""What a process may still do, and how it gives up the rest."""

from __future__ import annotations

from nacre.daemon.memory import keep_secrets
from nacre.daemon.sandbox import filter as system_calls
from nacre.daemon.sandbox import landlock
from nacre.daemon.sandbox.kernel import call
from nacre.daemon.sandbox.rules import Rule, this_processor
from nacre.value import value

_PR_SET_NO_NEW_PRIVS = 38


@value
class Sandbox:
    """The bounds of a process.

    :ivar rules: the system calls that are refused.
    :ivar below: the directories below which files may be opened, each with what may be done there,
        such as :data:`nacre.daemon.sandbox.landlock.CHANGE`; None for all files.
    """

    rules: tuple[Rule, ...]
    below: tuple[tuple[str, int], ...] | None = None

    def prepare(self) -> None:
        """Make what :meth:`enter` needs, once for all processes that are forked."""
        if (processor := this_processor()) is not None:
            system_calls.encoded(self.rules, processor)

    def enter(self) -> None:
        """Give up everything else, for good; to be called after the rights of another account.

        No program that is executed has more rights than this process, whatever its mode. The memory
        can't be read, and no core file is written. What this kernel does not have is left out:
        :func:`lacking` tells the server of it.

        With ``below`` this process must have one thread, and may import nothing afterwards.

        :raises OSError: a directory can't be opened, or the kernel refuses what it has.
        """
        keep_secrets()  # a process is dumpable again, perhaps, after it has changed its account
        call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if self.below is not None and (version := landlock.version()):
            landlock.confine(self.below, version)
        if system_calls.has_filters():
            system_calls.put_on(self.rules)


def lacking() -> str:
    """Return what this kernel does not have of a sandbox, for the log; empty if it has all."""
    found = []
    if not system_calls.has_filters():
        found.append("no filter of system calls (seccomp)")
    if not landlock.version():
        found.append("no Landlock (version 2)")
    return " and ".join(found)
