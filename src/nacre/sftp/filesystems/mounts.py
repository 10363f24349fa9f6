"""Which directories are on disks of this system: those behind a network may hang for ever."""

from __future__ import annotations

import os
import re

# fmt: off
LOCAL = frozenset({
    "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs",
    "ntfs3", "overlay", "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
    # What the kernel makes up. Not autofs, which may wait for another mount.
    "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "securityfs",
    "selinuxfs", "sysfs", "tracefs",
})
# fmt: on
"""Types of file systems that ask nobody else: neither another machine nor another process."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


def is_local(directory: int) -> bool:
    """Tell whether all that is below an open directory is on this system's disks.

    Where it can't be told, it is not.
    """
    try:
        path = os.readlink(f"/proc/self/fd/{directory}")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return are_local(file.read(), path)
    except OSError:
        return False


def are_local(mounts: str, path: str) -> bool:
    """Tell whether the mount that holds ``path`` and all mounts below it are local.

    :param mounts: what ``/proc/self/mountinfo`` says (proc(5)): of each mount its point in the
        fifth field, and its type behind the field of a dash.
    """
    below = path.rstrip("/") + "/"
    holder, holding, others = "", False, True
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        point = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), head.split(" ")[4])
        local = tail.partition(" ")[0] in LOCAL
        if point.startswith(below) and point != below:
            others = others and local
        # Of several at one point the last one counts.
        elif below.startswith(point.rstrip("/") + "/") and len(point) >= len(holder):
            holder, holding = point, local
    return holding and others
