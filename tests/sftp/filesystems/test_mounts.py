"""Which mounts are asked on the event loop, and which may hang."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.sftp.filesystems.mounts import are_local, is_local

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 0:22 / /srv rw - nfs4 server:/srv rw
25 24 0:23 / /srv/fast rw - tmpfs tmpfs rw
26 22 0:24 / /home rw - ext4 /dev/vdb rw
27 26 0:25 / /home/ann/far\040away rw master:3 propagate_from:2 - fuse.sshfs far: rw
28 22 0:26 / /mnt rw - ext4 /dev/vdc rw
29 28 0:27 / /mnt rw - cifs //server/share rw
30 22 0:28 / /auto rw - autofs systemd-1 rw
""".strip()


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("/usr/share", True),
        ("/proc", True),
        ("/srv", False),
        ("/srv/data", False),
        ("/srv/fast", True),
        ("/srv/fast/deeper", True),
        ("/srvother", True),
        ("/home", False),
        ("/home/ann", False),
        ("/home/ann/far away", False),
        ("/home/ann/far", True),
        ("/home/bob", True),
        ("/mnt", False),
        ("/auto/x", False),
        ("/", False),
    ],
)
def test_mounts_at_and_below(path: str, local: bool) -> None:
    assert are_local(MOUNTS, path) is local


def test_nothing_known_is_not_local() -> None:
    assert not are_local("", "/")


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="there is no /proc")
def test_this_system() -> None:
    directory = os.open("/proc/self", os.O_RDONLY)
    try:
        assert is_local(directory)
    finally:
        os.close(directory)
    assert not is_local(-1)
