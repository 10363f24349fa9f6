"""Make the source archive and the wheel of a commit in dist/: scripts/dist.py [COMMIT]

Whoever makes them of the same commit, with the same versions of Python and setuptools, gets the
same bytes: all times are the commit's, and no owner is noted. dist/SHA256SUMS has their hashes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUMS = "SHA256SUMS"


def make(commit: str, into: Path, repository: Path = ROOT) -> list[Path]:
    """Make the archives of a commit, and the file of their hashes; return all of them."""
    begin = int(_git(repository, "log", "-1", "--format=%ct", commit))
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "tree"
        tree.mkdir()
        # The modes of the files do not depend on who makes them either.
        archive = _git(repository, "-c", "tar.umask=0022", "archive", commit)
        subprocess.run(["tar", "-x"], cwd=tree, input=archive, check=True, umask=0o022)
        subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, tree],
            check=True,
            stdout=subprocess.DEVNULL,
            umask=0o022,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(begin)},
        )
        (source,) = Path(directory).glob("*.tar.gz")
        (wheel,) = Path(directory).glob("*.whl")
        made = [into / source.name, into / wheel.name]
        made[0].write_bytes(repacked(source.read_bytes(), begin))
        made[1].write_bytes(wheel.read_bytes())
    sums = into / SUMS
    sums.write_text(
        "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in made)
    )
    return [*made, sums]


def repacked(source: bytes, begin: int) -> bytes:
    """Return a source archive without what differs from one time that it is made to another."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(source)) as old,
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=begin) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            member.mtime, member.pax_headers = begin, {}
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


def _git(repository: Path, *words: str) -> bytes:
    return subprocess.run(
        ["git", *words], cwd=repository, check=True, stdout=subprocess.PIPE
    ).stdout


if __name__ == "__main__":
    for path in make(sys.argv[1] if len(sys.argv) > 1 else "HEAD", ROOT / "dist"):
        print(path.relative_to(ROOT))
