"""Make a Debian package of the last commit in dist/: scripts/deb.py [COMMIT]

It is for the release of Debian, and the kind of processor, that it is made on. Debian's own Python
packages are older than nacre needs, so /usr/lib/nacre is a virtual environment with those of PyPI,
for the system's Python. Units of systemd, manual pages and completions are where Debian has them.
"""

from __future__ import annotations

import argparse
import email.utils
import gzip
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = runpy.run_path(str(ROOT / "scripts" / "dist.py"))
HOME = Path("usr/lib/nacre")
EXTRAS = "cli,metrics,server"
MAINTAINER = "{DEBFULLNAME} <{DEBEMAIL}>"
NOBODY = {"DEBFULLNAME": "Whoever made this package", "DEBEMAIL": "packages@example.org"}
"""Who makes the package, where the variables of Debian's tools do not say so."""

SHELLS = {
    "bash": "usr/share/bash-completion/completions/nacre",
    "fish": "usr/share/fish/vendor_completions.d/nacre.fish",
    "zsh": "usr/share/zsh/vendor-completions/_nacre",
}
SCRIPTS = ("postinst", "prerm", "postrm")
LEFT_OUT = ("activate", "activate.csh", "activate.fish", "Activate.ps1")

CONTROL = """\
Package: nacre
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: adduser, libc6, python3 (>= {python}), python3 (<< {next_python})
Suggests: libpam-modules, logrotate, xauth
Section: net
Priority: optional
Description: SSH and SFTP server, clients and tools
 nacre serve is an SSH server for accounts of the system or for users of its
 own, with rights, second factors, an audit and recordings. nacre-ssh,
 nacre-sftp, nacre-scp and their companions are its clients.
"""


def main() -> int:
    """Make the package, and print its path."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", default="/usr/bin/python3", help="the system's Python")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="where to put it")
    parser.add_argument("commit", nargs="?", default="HEAD")
    arguments = parser.parse_args()
    for program in ("dpkg-deb", arguments.python):
        if shutil.which(program) is None:
            print(f"{program} is missing: a package of Debian is made on Debian", file=sys.stderr)
            return 1
    print(make(arguments.commit, arguments.python, arguments.into.resolve()))
    return 0


def make(commit: str, python: str, into: Path) -> Path:
    """Make the package of a commit, for an interpreter of the system; return its path."""
    _, wheel, _ = DIST["make"](commit, into)
    begin = int(_said(["git", "-C", str(ROOT), "log", "-1", "--format=%ct", commit]))
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "nacre"
        tree.mkdir(mode=0o755)
        _install(python, wheel, tree)
        _share(tree, begin)
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        architecture = _said(["dpkg", "--print-architecture"])
        _control(tree, python, version, architecture)
        package = into / f"nacre_{version}_{architecture}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, package],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(begin)},
        )
    return package


def _said(command: list[str]) -> str:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def _install(python: str, wheel: Path, tree: Path) -> None:
    """Make the virtual environment, whose paths are those that it will have."""
    home = tree / HOME
    home.parent.mkdir(parents=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    subprocess.run([python, "-m", "venv", "--without-pip", home], check=True, env=environment)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", home / "bin/python", "install", "-qq"),
            *("--disable-pip-version-check", "--root-user-action=ignore", "--no-compile"),
            f"nacre[{EXTRAS}] @ file://{wheel}",
        ],
        check=True,
        env=environment,
    )
    config = (home / "pyvenv.cfg").read_text().splitlines(keepends=True)
    (home / "pyvenv.cfg").write_text("".join(x for x in config if not x.startswith("command")))
    for name in LEFT_OUT:
        (home / "bin" / name).unlink(missing_ok=True)
    for path in home.rglob("__pycache__"):
        shutil.rmtree(path)
    for path in home.rglob("direct_url.json"):  # names the directory of the wheel
        path.unlink()
    here = f"#!{home}/bin/".encode()
    for script in _files(home / "bin"):
        text = script.read_bytes()
        if text.startswith(here):
            script.write_bytes(text.replace(here, f"#!/{HOME}/bin/".encode(), 1))
        elif text.startswith(b"#!/bin/sh"):  # of a path that is too long for the system
            script.write_bytes(text.replace(str(home).encode(), f"/{HOME}".encode()))
    for path in (tree / HOME).rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o755 if path.parent == home / "bin" else 0o644)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink())


def _share(tree: Path, begin: int) -> None:
    """Put commands, manual pages, units and what else others look for where they look."""
    home = tree / HOME
    commands = tree / "usr/bin"
    commands.mkdir(parents=True)
    for script in _files(home / "bin"):
        if script.name.split("-")[0] == "nacre":
            (commands / script.name).symlink_to(f"../lib/nacre/bin/{script.name}")
    for page in (home / "share/man").rglob("*.[1-8]"):
        _packed(page.read_bytes(), tree / f"usr/share/man/{page.parent.name}/{page.name}.gz")
    shutil.rmtree(home / "share")
    for unit in (ROOT / "deploy/systemd").iterdir():
        _copied(unit, tree / "usr/lib/systemd/system" / unit.name)
    documents = tree / "usr/share/doc/nacre"
    licence = (ROOT / "LICENSE").read_text().partition("\n\n")[2].rstrip()
    text = (ROOT / "deploy/debian/copyright").read_text()
    text += "".join(f" {line or '.'}\n" for line in licence.splitlines())
    _written(text, documents / "copyright")
    _copied(ROOT / "deploy/logrotate", documents / "examples/logrotate")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    entry = f"nacre ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the source.\n\n"
    entry += f" -- {_maintainer()}  {email.utils.formatdate(begin)}\n"
    _packed(entry.encode(), documents / "changelog.gz")
    _copied(ROOT / "deploy/debian/lintian-overrides", tree / "usr/share/lintian/overrides/nacre")
    for shell, path in SHELLS.items():
        environment = os.environ | {"_NACRE_COMPLETE": f"{shell}_source", "PYTHONPATH": ""}
        said = subprocess.run(
            [home / "bin/python", "-m", "nacre"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        _written(said.stdout, tree / path)
    for cache in home.rglob("__pycache__"):
        shutil.rmtree(cache)


def _maintainer() -> str:
    return MAINTAINER.format_map(NOBODY | os.environ)


def _written(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def _copied(source: Path, path: Path) -> None:
    _written(source.read_text(), path)


def _packed(data: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 9, mtime=0))
    path.chmod(0o644)


def _control(tree: Path, python: str, version: str, architecture: str) -> None:
    """Write what dpkg reads."""
    folder = tree / "DEBIAN"
    folder.mkdir(mode=0o755)
    numbers = re.match(r"Python (\d+)\.(\d+)", _said([python, "--version"]))
    assert numbers is not None
    major, minor = int(numbers[1]), int(numbers[2])
    size = sum(path.lstat().st_size for path in tree.rglob("*") if not path.is_dir())
    text = CONTROL.format(
        version=version,
        architecture=architecture,
        maintainer=_maintainer(),
        size=-(-size // 1024),
        python=f"{major}.{minor}",
        next_python=f"{major}.{minor + 1}",
    )
    _written(text, folder / "control")
    for name in SCRIPTS:
        _written((ROOT / "deploy/debian" / name).read_text(), folder / name)
        (folder / name).chmod(0o755)
    for path in tree.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
