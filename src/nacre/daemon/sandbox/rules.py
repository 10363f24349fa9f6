"""The tables of system calls: their numbers, and the rules that refuse them."""

from __future__ import annotations

import os
import sys

from nacre.value import value

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
"""What happens at a system call (seccomp(2)): it is made; it fails with EPERM; or SIGSYS ends the
process, as no library that nacre uses makes the call."""


@value
class Rule:
    """System calls that are refused.

    :ivar calls: their names.
    :ivar action: :data:`REFUSE` or :data:`KILL`.
    :ivar unless: the first argument with which they are allowed, or None.
    """

    calls: tuple[str, ...]
    action: int = REFUSE
    unless: int | None = None


_AF_UNIX = 1

# fmt: off
PROGRAMS = Rule(("execve", "execveat"))
"""No program is executed."""

SOCKETS = Rule(("socket", "socketpair"))
"""No socket is made."""

NETWORK = Rule(("socket",), unless=_AF_UNIX)
"""No socket is made, except for programs of this system: name services and syslog(3) have some."""

PROCESSES = Rule(
    ("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
    KILL,
)
"""No other process is traced, and neither its memory nor its open files are reached."""

SYSTEM = Rule(
    (
        # Another program for the kernel to run, or another kernel.
        "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf",
        "reboot",
        # Other paths, namespaces and devices.
        "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount",
        "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at",
        "swapon", "swapoff", "quotactl", "quotactl_fd", "acct", "iopl", "ioperm",
        # What attacks on the kernel begin with.
        "userfaultfd", "perf_event_open", "modify_ldt", "personality", "vhangup", "fanotify_init",
        # The system's clock, names and messages.
        "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname",
        "setdomainname", "syslog",
    ),
    KILL,
)
"""Nothing of the system is changed, and no rarely used part of the kernel is reached."""

INDIRECT = Rule(
    ("io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key", "keyctl"),
)
"""No rings, whose requests are system calls that no filter sees, and no keys of the kernel."""

STORAGE = (PROCESSES, SYSTEM, INDIRECT)
"""For a process whose libraries may open connections and run programs."""

FILES = (*STORAGE, PROGRAMS, NETWORK)
"""For a process that serves all files of this system."""

CONFINED = (*STORAGE, PROGRAMS, SOCKETS)
"""For a process that serves a directory."""

_SIGNALS = ("kill", "tkill", "rt_sigqueueinfo", "pidfd_send_signal")


def gate_rules(pid: int) -> tuple[Rule, ...]:
    """Return the rules of a process that reads what strangers send.

    Several of them have one account: none can send a signal to another one.

    :param pid: its number.
    """
    return (*CONFINED, Rule(_SIGNALS), Rule(("tgkill", "rt_tgsigqueueinfo"), unless=pid))


NUMBERS: dict[str, tuple[int, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "seccomp": (317, 277),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
# fmt: on
"""The numbers of system calls on x86_64 and aarch64; None where the call does not exist."""


@value
class Processor:
    """A kind of processor.

    :ivar arch: its AUDIT_ARCH number, which a filter compares.
    :ivar column: its place in the rows of :data:`NUMBERS`.
    :ivar end: no system call has this number or a greater one.
    """

    arch: int
    column: int
    end: int

    def number(self, name: str) -> int | None:
        """Return the number of a system call, or None if this processor does not have it."""
        return NUMBERS[name][self.column]


_X32 = 0x40000000
"""Numbers from this one on are the same calls again, of x86_64's x32 programs."""

PROCESSORS = {
    "x86_64": Processor(arch=0xC000003E, column=0, end=_X32),
    "aarch64": Processor(arch=0xC00000B7, column=1, end=_X32),
}


def this_processor() -> Processor | None:
    """Return the processor of this process, or None if the numbers of its calls are not known."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return None
    return PROCESSORS.get(os.uname().machine)
