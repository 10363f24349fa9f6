"""Tells local disks from file systems behind a network, which may hang for ever."""

from __future__ import annotations

import os
import re

# fmt: off
LOCAL = frozenset({
    "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs",
    "ntfs3", "overlay", "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
    # Those the kernel generates; not autofs, which may wait for another mount.
    "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "securityfs",
    "selinuxfs", "sysfs", "tracefs",
})
# fmt: on
"""Types of file systems that depend on no other machine and no other process."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


def is_local(directory: int) -> bool:
    """Return whether everything below an open directory is on local disks; False if unknown."""
    try:
        path = os.readlink(f"/proc/self/fd/{directory}")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return are_local(file.read(), path)
    except OSError:
        return False


def are_local(mounts: str, path: str) -> bool:
    """Return whether the mount that holds ``path`` and all mounts below it are local.

    :param mounts: the text of ``/proc/self/mountinfo`` (proc(5)): the fifth field of a line is the
        mount point, the field after the dash the type.
    """
    below = path.rstrip("/") + "/"
    holder, holding, others = "", False, True
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        point = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), head.split(" ")[4])
        local = tail.partition(" ")[0] in LOCAL
        if point.startswith(below) and point != below:
            others = others and local
        # Of several mounts at one point the last one is visible.
        elif below.startswith(point.rstrip("/") + "/") and len(point) >= len(holder):
            holder, holding = point, local
    return holding and others
