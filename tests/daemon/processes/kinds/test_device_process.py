"""The process that attaches a tunnel device."""

from __future__ import annotations

import errno
import os

import pytest

from daemon.processes.forked import Piped
from nacre.daemon.processes.kinds.device_process import request
from nacre.daemon.processes.template import Template
from nacre.tunnels.device import open_file
from tunnels.devices import need_devices

NOBODY = 65534, 65534, (65534,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other accounts")
def test_a_device_that_the_account_may_not_have_is_an_error(template: Template) -> None:
    need_devices()
    device = open_file()
    try:
        process = Piped(template, "device", request(NOBODY, "point-to-point", 25000), device)
    finally:
        os.close(device)
    process.link.settimeout(20)
    assert process.link.recv(9) in (b"%d\n" % errno.EPERM, b"%d\n" % errno.EACCES)
    assert process.communicate(20) == (b"", b"")
    assert process.returncode == 0
