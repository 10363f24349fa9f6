"""The package of Debian: what is in it, and how it is installed, used and removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.programs import environment, require

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CHROOT = """
set -e
mount -t tmpfs none {place}
mkdir {place}/upper {place}/work {place}/root
mount -t overlay overlay -o lowerdir=/,upperdir={place}/upper,workdir={place}/work {place}/root
mount -t proc none {place}/root/proc
mount --rbind /dev {place}/root/dev
mount -t tmpfs none {place}/root/tmp
cp {package} {place}/root/tmp/nacre.deb
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot {place}/root sh -ec '{script}'
"""
"""Runs a script in a copy of this system, which is gone afterwards."""

SCRIPT = """
cd /tmp
dpkg -i nacre.deb
getent passwd nacre
nacre --version
test -s /usr/share/man/man8/nacre-serve.8.gz
ssh-keygen -q -t ed25519 -N "" -f key
nacre user add alice --key key.pub --run-as root
nacre serve --listen 127.0.0.1:2299 >log 2>&1 &
nacre_ssh() { ssh -F none -i key -p 2299 -o StrictHostKeyChecking=no alice@127.0.0.1 "$@"; }
for i in $(seq 300); do grep -q "listening on" log && break; sleep 0.1; done
nacre_ssh "echo logged in"
nacre restart
nacre_ssh "echo logged in again"
nacre-ssh -V
dpkg -r nacre
test -d /var/lib/nacre && echo state stays
test ! -e /usr/bin/nacre
dpkg -P nacre
test ! -e /var/lib/nacre && echo state is gone
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package of the last commit, or the one that NACRE_DEB names."""
    if ready := os.environ.get("NACRE_DEB"):
        yield Path(ready)
        return
    require("dpkg-deb")
    python = "/usr/bin/python3"
    if not Path(python).exists():
        pytest.skip("Debian's Python is not installed")
    into = tmp_path_factory.mktemp("dist")
    words = [sys.executable, ROOT / "scripts" / "deb.py", "--python", python, "--into", into]
    subprocess.run(
        [str(word) for word in words], check=True, timeout=1000, env=environment(PYTHONPATH="")
    )
    (package,) = into.glob("nacre_*.deb")
    yield package


def test_it_is_installed_serves_and_is_removed(package: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a copy of the system")
    unshare = [require("unshare"), "--mount", "--pid", "--fork", "--kill-child"]
    probe = subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", str(tmp_path)], timeout=50)
    if probe.returncode != 0:
        pytest.skip("nothing can be mounted here")
    code = CHROOT.format(place=tmp_path, package=package.resolve(), script=SCRIPT)
    done = subprocess.run([*unshare, "sh", "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said = done.stdout.splitlines()
    for line in ("logged in", "logged in again", "state stays", "state is gone"):
        assert line in said
    assert any(line.startswith("nacre, version ") for line in said)


def test_lintian_finds_no_errors(package: Path) -> None:
    lintian = shutil.which("lintian")
    if lintian is None:
        pytest.skip("lintian is not installed")
    done = subprocess.run(
        # Root runs it in containers, and that is all right there.
        [lintian, "--allow-root", "--fail-on=error", str(package)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
