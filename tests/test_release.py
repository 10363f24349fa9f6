"""What a release consists of: archives that anyone can make again, and their bill of materials."""

from __future__ import annotations

import hashlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DIST = runpy.run_path(str(ROOT / "scripts" / "dist.py"))
SBOM = runpy.run_path(str(ROOT / "scripts" / "sbom.py"))

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "pearl"
version = "1.2"
"""


def packed(names: list[str], mtime: int, owner: str, mode: int) -> bytes:
    """Return a source archive of files whose contents are their names."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(name), mtime, mode
            member.uname = member.gname = owner
            member.uid = mtime
            archive.addfile(member, io.BytesIO(name.encode()))
    return made.getvalue()


def test_a_source_archive_does_not_tell_who_made_it_and_when() -> None:
    one = DIST["repacked"](packed(["x/b", "x/a"], 5, "alice", 0o644), 1000)
    assert one == DIST["repacked"](packed(["x/a", "x/b"], 6, "bob", 0o644), 1000)
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        members = archive.getmembers()
        files = [archive.extractfile(member) for member in members]
        assert [file.read() for file in files if file] == [b"x/a", b"x/b"]
    assert {(m.mtime, m.uid, m.uname, m.mode) for m in members} == {(1000, 0, "", 0o644)}


@pytest.mark.slow
def test_the_same_commit_gives_the_same_bytes(tmp_path: Path) -> None:
    # The environments of other Pythons have what the package needs, not what builds it.
    pytest.importorskip("build")
    repository = tmp_path / "repository"
    (repository / "src" / "pearl").mkdir(parents=True)
    (repository / "pyproject.toml").write_text(PROJECT)
    (repository / "src" / "pearl" / "__init__.py").write_text("")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run(["git", *who, *words], cwd=repository, check=True, timeout=20)
    # What is not committed is not in it.
    (repository / "src" / "pearl" / "more.py").write_text("")
    made = DIST["make"]("HEAD", tmp_path / "one", repository)
    before = os.umask(0o077)
    try:
        again = DIST["make"]("HEAD", tmp_path / "two", repository)
    finally:
        os.umask(before)
    assert [one.name for one in made] == [
        "pearl-1.2.tar.gz",
        "pearl-1.2-py3-none-any.whl",
        "SHA256SUMS",
    ]
    assert [one.read_bytes() for one in made] == [one.read_bytes() for one in again]
    with zipfile.ZipFile(made[1]) as wheel:
        names = [name for name in wheel.namelist() if name.startswith("pearl/")]
    assert names == ["pearl/__init__.py"]
    for line, archive in zip(made[2].read_text().splitlines(), made, strict=False):
        assert line == f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}"


@pytest.mark.slow
def test_the_bill_of_materials_has_the_dependencies(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx_py")
    environment = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=50
    )
    (packages,) = environment.glob("lib/*/site-packages")
    for name in ("bcrypt", "cryptography"):
        about = distribution(name).locate_file(f"{name}-{distribution(name).version}.dist-info")
        shutil.copytree(str(about), packages / Path(str(about)).name)
    SBOM["write"](environment / "bin" / "python", tmp_path / "bill.json")
    text = (tmp_path / "bill.json").read_text()
    bill: dict[str, Any] = json.loads(text)
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "nacre"
    assert "timestamp" not in bill["metadata"]
    found = {component["name"]: component["version"] for component in bill["components"]}
    assert found == {name: distribution(name).version for name in ("bcrypt", "cryptography")}


def test_the_extras_of_the_bill_are_those_for_users() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # The extra pq is part of others; dev and fuzz are for those who change nacre.
    assert {*SBOM["EXTRAS"].split(","), "pq", "gssapi", "ldap", "dev", "fuzz"} == set(
        project["optional-dependencies"]
    )
